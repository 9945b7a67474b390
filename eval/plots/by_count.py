"""Plots of classes against their training rows, a dot a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from eval.arrays import Floats, Ints, as_indices
from eval.groups import GROUP_NAMES
from eval.plots.style import (
    GROUP_COLOURS,
    METHOD_COLOURS,
    MUTED,
    UNGROUPED,
    add_legend,
    in_percent,
    new_axes,
)


def plot_accuracy_by_count(
    train_counts: npt.ArrayLike,
    recall: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    base_recall: npt.ArrayLike | None = None,
    retrieval_recall: npt.ArrayLike | None = None,
) -> Figure:
    """Recall of each class against its training rows, with the mean along the way.

    Each group's dots carry the group id ``dots-<group>`` (``dots-all`` without groups), and come in
    class order; classes without test rows (NaN) have no dot.

    Args:
        train_counts: (C,) training rows, at least 0; the axis is logarithmic above 1.
        recall: (C,) in [0, 1] or NaN.
        groups: (C,) positions in ``GROUP_NAMES``, for the colours.
        base_recall: (C,) of the base branch, for its mean.
        retrieval_recall: (C,) of the retrieval branch, for its mean.
    """
    counts = as_indices(train_counts, "train_counts")
    shown: Floats = np.asarray(recall, dtype=np.float64)
    known = ~np.isnan(shown)
    figure, axes = new_axes((8.6, 3.9))
    _dots(axes, counts, shown, None if groups is None else as_indices(groups, "groups"))
    curves: dict[str, Floats] = {"fused": shown}
    for name, values in (("base", base_recall), ("retrieval", retrieval_recall)):
        if values is not None:
            curves[name] = np.asarray(values, dtype=np.float64)
    for name, values in curves.items():
        x, y = mean_along(counts, values)
        if len(x) > 1:
            label = f"mean, {name}" if len(curves) > 1 else "mean"
            axes.plot(
                x,
                y,
                color=METHOD_COLOURS[name],
                linewidth=2 if name == "fused" else 1.4,
                linestyle="-" if name == "fused" else (0, (4, 2)),
                zorder=3 if name == "fused" else 2.5,
                label=label,
            )
    _count_axis(axes, counts[known])
    axes.set_ylabel("recall")
    axes.set_ylim(-0.04, 1.04)
    in_percent(axes.yaxis)
    add_legend(axes, rows=2 if len(axes.get_legend_handles_labels()[0]) > 4 else 1)
    return figure


def plot_changes(
    train_counts: npt.ArrayLike, differences: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> Figure:
    """Difference in recall of classes against their training rows, as dots around zero.

    Args:
        train_counts: (C,) training rows, at least 0.
        differences: (C,) recall after minus recall before, in [-1, 1]; NaN has no dot.
        groups: (C,) positions in ``GROUP_NAMES``, for the colours.
    """
    counts = as_indices(train_counts, "train_counts")
    shown: Floats = np.asarray(differences, dtype=np.float64)
    known = ~np.isnan(shown)
    figure, axes = new_axes((8.6, 3.2))
    axes.axhline(0, color=MUTED, linewidth=1)
    _dots(axes, counts, shown, None if groups is None else as_indices(groups, "groups"))
    _count_axis(axes, counts[known])
    reach = 1.1 * float(np.abs(shown[known]).max()) if known.any() else 1.0
    axes.set_ylim(-max(reach, 0.02), max(reach, 0.02))
    axes.set_ylabel("difference in recall")
    in_percent(axes.yaxis)
    add_legend(axes)
    return figure


def mean_along(counts: Ints, recall: Floats, bins: int = 12) -> tuple[Floats, Floats]:
    """Mean recall of classes of similar training count: (x, y) of at most ``bins`` points.

    Classes are put in order of count and cut into parts of equal size; classes of equal count
    stay in one part. Classes without test rows (NaN) are left out.

    >>> mean_along(np.array([1, 1, 8, 8]), np.array([0.0, 0.5, 1.0, np.nan]), bins=2)
    (array([1., 8.]), array([0.25, 1.  ]))
    """
    known = ~np.isnan(recall)
    counts, recall = counts[known], recall[known]
    if not len(counts):
        return np.zeros(0), np.zeros(0)
    _, place = np.unique(counts, return_inverse=True)
    ahead = np.cumsum(np.bincount(place)) - np.bincount(place)
    part = (ahead * bins // len(counts))[place]
    sizes = np.bincount(part)
    filled = sizes > 0
    x = np.bincount(part, weights=counts)[filled] / sizes[filled]
    y = np.bincount(part, weights=recall)[filled] / sizes[filled]
    return x, y


def dots_by_group(groups: Sequence[int] | Ints | None, recall: Floats) -> dict[str, Ints]:
    """Which classes the dots of each ``dots-<group>`` stand for, in the order they are drawn."""
    known = ~np.isnan(recall)
    if groups is None:
        return {"dots-all": np.flatnonzero(known)}
    index = np.asarray(groups)
    return {
        f"dots-{name}": np.flatnonzero(known & (index == i)) for i, name in enumerate(GROUP_NAMES)
    }


def _dots(axes: Axes, counts: Ints, values: Floats, groups: Ints | None) -> None:
    """A dot a class, coloured by group, in groups of the ids that ``dots_by_group`` names."""
    members = dots_by_group(groups, values)
    size = float(np.clip(4000 / max(1, sum(len(rows) for rows in members.values())), 9, 34))
    for gid, rows in members.items():
        if rows.size:
            name = gid.removeprefix("dots-")
            dots = axes.scatter(
                counts[rows],
                values[rows],
                s=size,
                color=GROUP_COLOURS.get(name, UNGROUPED),
                alpha=0.65,
                linewidths=0,
                label=None if groups is None else _counted(name, len(rows)),
            )
            dots.set_gid(gid)


def _counted(name: str, classes: int) -> str:
    return f"{name} ({classes:,} {'class' if classes == 1 else 'classes'})"


def _count_axis(axes: Axes, counts: Ints) -> None:
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    if counts.size:
        low, high = int(counts.min()), int(counts.max())
        axes.set_xlim(low * 0.85 if low > 1 else low - 0.3, max(high * 1.15, high + 0.5))
    axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=[1, 2, 5]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training rows of the class")
