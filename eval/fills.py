"""How well an attribute filler did on cells whose truth is known, by attribute and by value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eval.arrays import Bools, Floats, Ints
from eval.binomial import clopper_pearson_interval, clopper_pearson_lower, clopper_pearson_upper
from eval.fill_cells import FillCells, KnownCells, make_cells
from eval.metrics import confusions
from eval.selective import RiskCoverage, risk_coverage

_PARTICULARS = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")(?!\w)|\d+(?:[.,]\d+)*""")


@dataclass(frozen=True)
class ValueScore:
    """What became of one value of an attribute.

    Attributes:
        value: its name.
        known: cells that held it before; None where that is not known.
        written: empty cells that it was written into, whether their truth is known or not.
        cells: judged cells whose true value it is.
        filled: judged cells that it was written into.
        correct: those of them whose true value it is.
        abstained: judged cells whose true value it is and that stayed empty.
        coverage: share of the cells that were filled, rightly or not; None without cells.
        precision: correct / filled; None where nothing was filled with it.
        low: lower end of the exact 95 % interval of the precision; None with it.
        high: its upper end.
    """

    value: str
    known: int | None
    written: int
    cells: int
    filled: int
    correct: int
    abstained: int
    coverage: float | None
    precision: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Mistake:
    """A true value and the value that its cells were wrongly filled with."""

    truth: str
    value: str
    cells: int


@dataclass(frozen=True)
class FillScore:
    """What became of the cells of one attribute.

    Attributes:
        known: cells that held a value before.
        empty: cells that held none.
        written: empty cells that were filled, whether their truth is known or not.
        cells: cells with a known truth that the filler was asked for.
        filled: cells of these that it filled.
        correct: filled cells whose value is the truth.
        coverage: filled / cells; None where there are no cells.
        precision: correct / filled; None where nothing was filled.
        low: lower end of the exact 95 % interval of the precision; None with it.
        high: its upper end.
        curve: risk against coverage over every cell whose best value is known, with coverage as a
            share of those; None where there are none.
        reasons: why empty cells stayed empty, most frequent reason first; numbers and values in
            quotes are left out, so that one reason is one entry.
        values: of the attribute, most cells first; empty for a sum.
        mistakes: most frequent first; empty for a sum.
    """

    known: int
    empty: int
    written: int
    cells: int
    filled: int
    correct: int
    coverage: float | None
    precision: float | None
    low: float | None
    high: float | None
    curve: RiskCoverage | None
    reasons: dict[str, int] = field(default_factory=dict)
    values: tuple[ValueScore, ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    @property
    def abstained(self) -> int:
        """Judged cells that stayed empty."""
        return self.cells - self.filled


def evaluate_fills(
    attribute: Sequence[str],
    truth: Sequence[str | None],
    value: Sequence[str | None],
    probability: npt.ArrayLike,
    *,
    candidate: Sequence[str | None] | None = None,
    reason: Sequence[str | None] | None = None,
) -> dict[str, FillScore]:
    """Score filled cells against the truth, attribute by attribute.

    Args:
        attribute: (M,) the cell's attribute.
        truth: (M,) the true value; cells where it is None are in no rate.
        value: (M,) the value written, None where the filler abstained.
        probability: (M,) probability in [0, 1] of the value, or of the candidate where it
            abstained; NaN only where there is neither.
        candidate: (M,) the best value, also where it was too doubtful to be written; with it the
            risk-coverage curve reaches over the abstained cells.
        reason: (M,) why a cell stayed empty.

    Returns:
        A score for each attribute, in the order in which they first occur.

    Raises:
        ReportFault: lengths differ, or a probability is not in [0, 1].

    >>> scores = evaluate_fills(
    ...     ["colour"] * 4, ["red", "red", "blue", "red"], ["red", "blue", "blue", None],
    ...     [0.9, 0.6, 0.8, 0.3], candidate=["red", "blue", "blue", "blue"])
    >>> score = scores["colour"]
    >>> score.cells, score.filled, score.correct, score.coverage
    (4, 3, 2, 0.75)
    >>> score.curve.risk.tolist()
    [0.0, 0.0, 0.333..., 0.5]
    >>> [(one.value, one.filled, one.correct) for one in score.values]
    [('red', 1, 1), ('blue', 2, 1)]
    """
    cells = make_cells(attribute, truth, value, probability, candidate=candidate, reason=reason)
    return evaluate_cells(cells)


def evaluate_cells(
    cells: FillCells, known: Mapping[str, KnownCells] | None = None
) -> dict[str, FillScore]:
    """Score the cells of a fill run, attribute by attribute, in the order of its attributes.

    Args:
        cells: that were decided.
        known: cells that were found filled, by attribute, in place of the known ones in ``cells``.
    """
    return {
        name: _attribute(cells, cells.attribute == number, (known or {}).get(name))
        for number, name in enumerate(cells.attributes)
    }


def sum_fills(scores: Sequence[FillScore]) -> FillScore:
    """The score over all cells of several attributes; it has no curve, values and mistakes.

    >>> one = evaluate_fills(["a", "b"], ["x", "y"], ["x", None], [1.0, 0.2])
    >>> total = sum_fills(list(one.values()))
    >>> total.cells, total.filled, total.coverage, total.precision
    (2, 1, 0.5, 1.0)
    """
    reasons: Counter[str] = Counter()
    for score in scores:
        reasons.update(score.reasons)
    return _score(
        known=sum(score.known for score in scores),
        empty=sum(score.empty for score in scores),
        written=sum(score.written for score in scores),
        cells=sum(score.cells for score in scores),
        filled=sum(score.filled for score in scores),
        correct=sum(score.correct for score in scores),
        reasons=reasons,
    )


def _attribute(cells: FillCells, mine: Bools, known: KnownCells | None) -> FillScore:
    asked = mine & ~cells.known
    judged = asked & (cells.truth >= 0)
    right = judged & (cells.best == cells.truth)
    shown = judged & (cells.best >= 0)
    curve = None
    if shown.any():
        curve = risk_coverage(cells.probability[shown], right[shown])
    why: Counter[str] = Counter()
    left = cells.reason[asked & ~cells.filled]
    for number, count in zip(*np.unique(left[left >= 0], return_counts=True), strict=True):
        why[_plain(cells.reasons[int(number)])] += int(count)
    known = known or _known(cells, mine)
    return _score(
        known=known.total,
        empty=int(np.count_nonzero(asked)),
        written=int(np.count_nonzero(asked & cells.filled)),
        cells=int(np.count_nonzero(judged)),
        filled=int(np.count_nonzero(judged & cells.filled)),
        correct=int(np.count_nonzero(right & cells.filled)),
        reasons=why,
        curve=curve,
        values=_values(cells, mine, judged, right, known),
        mistakes=_mistakes(cells, judged),
    )


def _known(cells: FillCells, mine: Bools) -> KnownCells:
    held = cells.best[mine & cells.known]
    values, counts = np.unique(held[held >= 0], return_counts=True)
    named = {cells.values[i]: n for i, n in zip(values.tolist(), counts.tolist(), strict=True)}
    return KnownCells(len(held), named)


def _values(
    cells: FillCells, mine: Bools, judged: Bools, right: Bools, known: KnownCells
) -> tuple[ValueScore, ...]:
    held = known.values or {}
    names = (*cells.values, *sorted(held.keys() - set(cells.values)))
    place = {name: i for i, name in enumerate(names)}
    before = np.zeros(len(names), dtype=np.int64)
    before[[place[name] for name in held]] = list(held.values())

    def counted(value: Ints, mask: Bools) -> Ints:
        kept = value[mask]
        return np.bincount(kept[kept >= 0], minlength=len(names)).astype(np.int64)

    written = counted(cells.best, mine & ~cells.known & cells.filled)
    truth = counted(cells.truth, judged)
    answered = counted(cells.truth, judged & cells.filled)
    filled = counted(cells.best, judged & cells.filled)
    correct = counted(cells.best, right & cells.filled)
    low: Floats = clopper_pearson_lower(correct, filled, 0.975)
    high: Floats = clopper_pearson_upper(correct, filled, 0.975)
    there = np.flatnonzero(before + written + truth)
    order = there[np.lexsort((there, -(before + truth + written)[there]))]
    return tuple(
        ValueScore(
            value=names[i],
            known=None if known.values is None else int(before[i]),
            written=int(written[i]),
            cells=int(truth[i]),
            filled=int(filled[i]),
            correct=int(correct[i]),
            abstained=int(truth[i] - answered[i]),
            coverage=float(answered[i] / truth[i]) if truth[i] else None,
            precision=float(correct[i] / filled[i]) if filled[i] else None,
            low=float(low[i]) if filled[i] else None,
            high=float(high[i]) if filled[i] else None,
        )
        for i in order.tolist()
    )


def _mistakes(cells: FillCells, judged: Bools) -> tuple[Mistake, ...]:
    wrong = judged & cells.filled & (cells.best != cells.truth)
    pairs = confusions(cells.truth[wrong], cells.best[wrong], len(cells.values))
    return tuple(
        Mistake(truth=cells.values[truth], value=cells.values[value], cells=count)
        for truth, value, count in zip(
            pairs.labels.tolist(), pairs.predictions.tolist(), pairs.counts.tolist(), strict=True
        )
    )


def _plain(reason: str) -> str:
    """A reason without its numbers and without values in quotes, so that alike ones are one."""
    return _PARTICULARS.sub("\u2026", reason)


def _score(
    *,
    known: int,
    empty: int,
    written: int,
    cells: int,
    filled: int,
    correct: int,
    reasons: Counter[str],
    curve: RiskCoverage | None = None,
    values: tuple[ValueScore, ...] = (),
    mistakes: tuple[Mistake, ...] = (),
) -> FillScore:
    low, high = clopper_pearson_interval(correct, filled) if filled else (None, None)
    return FillScore(
        known=known,
        empty=empty,
        written=written,
        cells=cells,
        filled=filled,
        correct=correct,
        coverage=filled / cells if cells else None,
        precision=correct / filled if filled else None,
        low=low,
        high=high,
        curve=curve,
        reasons=dict(reasons.most_common()),
        values=values,
        mistakes=mistakes,
    )
