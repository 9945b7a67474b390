"""A report's headline in a few lines of text."""

from __future__ import annotations

from eval.schema import ComparisonMetrics, Figure, MetricsDocument

_NAMES = ("top1", "top5", "macro", "many", "medium", "few", "harmonic", "worst")


def summarise(metrics: MetricsDocument) -> str:
    """The headline figures of every run and the totals of the fills, as an aligned table.

    Per cent, with the half width of a bootstrap interval, and both ends of an exact one, which is
    not even; "no rows" for an empty group and "-" for a figure that the run cannot have.
    """
    lines: list[list[str]] = []
    if metrics.runs:
        lines.append(["run", *_NAMES, "rows"])
    for run in metrics.runs:
        figures = [_said(getattr(run.headline, name)) for name in _NAMES]
        lines.append([run.name, *figures, f"{run.rows.evaluated:,}"])
    text = _aligned(lines)
    if metrics.fills:
        fills = [["attribute", "empty", "filled", "judged", "coverage", "precision"]]
        for name, fill in metrics.fills.items():
            fills.append(
                [
                    name,
                    f"{fill.empty:,}",
                    f"{fill.written:,}",
                    f"{fill.cells:,}",
                    _rate(fill.coverage),
                    _ends(fill.precision, fill.low, fill.high),
                ]
            )
        text = "\n\n".join(part for part in (text, _aligned(fills)) if part)
    for comparison in metrics.comparisons:
        text += "\n" + _compared(comparison)
    notes = [f"{run.name}: {note}" for run in metrics.runs for note in run.notes]
    return "\n".join([text, *notes])


def _compared(comparison: ComparisonMetrics) -> str:
    """The differences in points with their intervals, and what fell by more than its noise."""
    said = [
        f"{one.name} {100 * one.difference.value:+.1f}{' (!)' if one.alarm else ''}"
        for one in comparison.figures
        if one.difference.value is not None
    ]
    line = f"{comparison.after} - {comparison.before}: {', '.join(said) or 'no common rows'}"
    fallen = comparison.class_alarms
    if comparison.alarms or fallen:
        line += "\n  worse by more than noise: " + ", ".join(
            [*comparison.alarms, *(f"class {name}" for name in fallen[:10])]
        )
        line += f" and {len(fallen) - 10} more classes" if len(fallen) > 10 else ""
    return line


def _said(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.value is None or figure.low is None or figure.high is None:
        return "no rows"
    if figure.interval == "exact":
        return _ends(figure.value, figure.low, figure.high)
    return f"{100 * figure.value:.1f} ±{50 * (figure.high - figure.low):.1f}"


def _ends(share: float | None, low: float | None, high: float | None) -> str:
    if share is None or low is None or high is None:
        return "-"
    return f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _rate(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _aligned(lines: list[list[str]]) -> str:
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
