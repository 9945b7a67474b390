"""A comparison of two runs as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from eval import plots
from eval.groups import GROUP_NAMES
from eval.outcomes import Outcomes
from eval.page.drawing import draw
from eval.page.wording import points
from eval.schema import ClassChange, ComparisonMetrics

CHANGES_SHOWN = 1000


@dataclass(frozen=True)
class ComparisonView:
    """A run against the first one, as the template shows it."""

    key: str
    metrics: ComparisonMetrics
    rows: tuple[ClassChange, ...]
    plot: Markup | None


def comparison_view(number: int, comparison: ComparisonMetrics, first: Outcomes) -> ComparisonView:
    """Prepare a comparison with the first run; ``number`` is that of the later run."""
    key, plot = f"change{number}", None
    rows = _most_changed(comparison.classes)
    named = {id(one) for one in rows}
    if first.train_counts is not None and comparison.classes:
        counts = dict(zip(first.classes, first.train_counts.tolist(), strict=True))
        known = [change for change in comparison.classes if change.name in counts]
        groups = [GROUP_NAMES.index(change.group or "few") for change in known]
        differences = np.array([change.after - change.before for change in known])
        figure = plots.plot_changes([counts[one.name] for one in known], differences, groups)
        titles = [
            f"{one.name}: {points(one.after - one.before)} of {one.rows:,}"
            if id(one) in named
            else ""
            for one in known
        ]
        names = {
            group: [titles[i] for i in members]
            for group, members in plots.dots_by_group(np.array(groups), differences).items()
            if members.size
        }
        plot = draw(
            figure,
            "Difference in recall of each class that changed against its training rows; the table "
            "below holds the same numbers",
            f"{key}-dots",
            names,
        )
    return ComparisonView(key=key, metrics=comparison, rows=rows, plot=plot)


def _most_changed(classes: Sequence[ClassChange]) -> tuple[ClassChange, ...]:
    """All classes where the page can bear them; else those that fell and those that rose most."""
    if len(classes) <= CHANGES_SHOWN:
        return tuple(classes)
    half = CHANGES_SHOWN // 2
    return (*classes[:half], *classes[-half:])
