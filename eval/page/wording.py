"""How a page says figures and numbers."""

from __future__ import annotations

from eval.groups import GROUP_NAMES
from eval.schema import Figure, FillMetrics

_NONE, _MINUS = "\u2013", "\u2212"
FIGURE_NAMES = ("top1", "top5", "macro", *GROUP_NAMES, "harmonic", "worst")
TITLES = {
    "top1": "Top-1",
    "top5": "Top-5",
    "macro": "Macro",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "harmonic": "Harmonic",
    "worst": "Worst class",
}


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; a dash where there is none.

    >>> percent(0.8345), percent(1.0), percent(None)
    ('83.5', '100', '–')
    """
    if share is None:
        return _NONE
    return "100" if share == 1 else f"{100 * share:.{digits}f}"


def points(difference: float | None) -> str:
    """A signed difference in percentage points.

    >>> points(0.031), points(-0.2), points(-0.0002), points(0.0), points(None)
    ('+3.1', '−20.0', '−0.02', '0.0', '–')
    """
    if difference is None:
        return _NONE
    if difference == 0:
        return "0.0"
    digits = 1 if abs(difference) >= 0.0005 else 2
    return f"{100 * difference:+.{digits}f}".replace("-", _MINUS)


def interval(figure: Figure | FillMetrics) -> str:
    """The interval of a figure in per cent, as "81.0 to 85.9"; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{percent(figure.low)} to {percent(figure.high)}"


def count(number: int) -> str:
    """A whole number with thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def plural(number: int, word: str, several: str | None = None) -> str:
    """A counted word: "1 row", "2 rows", "0 classes".

    >>> plural(1, "row"), plural(2000, "class", "classes")
    ('1 row', '2,000 classes')
    """
    return f"{number:,} {word if number == 1 else several or word + 's'}"


def cell(share: float | None) -> str:
    """A rate of the class table in per cent, empty for none, so that it sorts last.

    >>> cell(0.5), cell(None)
    ('50.0', '')
    """
    return "" if share is None else f"{100 * share:.1f}"


def chance(p: float) -> str:
    """A p-value, as exact as anyone needs it.

    >>> chance(0.0625), chance(0.00001)
    ('0.062', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"
