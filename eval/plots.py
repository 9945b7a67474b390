"""The plots of a report, as matplotlib figures; a notebook shows them as they are.

Figures are made without pyplot, so nothing global changes and nothing has to be closed. Colours are
the constants below; :mod:`eval.svg` turns them into the page's own, light or dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from eval.arrays import Floats, Ints, as_indices
from eval.calibration import Reliability
from eval.groups import GROUP_NAMES
from eval.schema import Figure as Share
from eval.selective import RiskCoverage

INK = "#1b2431"
MUTED = "#5b6675"
GRID = "#e1e5eb"
GROUP_COLOURS = {"many": "#0f6ab4", "medium": "#12806a", "few": "#c4500b"}
METHOD_COLOURS = {"base": "#8a94a3", "retrieval": "#b7791f", "fused": "#5b45c9"}
UNGROUPED = "#4a6fa5"
LINES = ("#5b45c9", "#c4500c", "#12806b", "#0f6ab5", "#b7791e", "#a8326f")

_SIZE = (5.6, 3.7)
_CURVE_POINTS = 400


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
    figure, axes = _axes((8.6, 3.9))
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
    _percent(axes.yaxis)
    _legend(axes, rows=2 if len(axes.get_legend_handles_labels()[0]) > 4 else 1)
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
    figure, axes = _axes((8.6, 3.2))
    axes.axhline(0, color=MUTED, linewidth=1)
    _dots(axes, counts, shown, None if groups is None else as_indices(groups, "groups"))
    _count_axis(axes, counts[known])
    reach = 1.1 * float(np.abs(shown[known]).max()) if known.any() else 1.0
    axes.set_ylim(-max(reach, 0.02), max(reach, 0.02))
    axes.set_ylabel("difference in recall")
    _percent(axes.yaxis)
    _legend(axes)
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


def plot_groups(headlines: Mapping[str, Mapping[str, Share | None]]) -> Figure:
    """Bars with intervals: for each figure (macro, many, ...) one bar a method.

    Args:
        headlines: method ("base", "retrieval", "fused") to figure name to share. A share without
            rows has no bar, and says "no rows".
    """
    figure, axes = _axes(_SIZE)
    names = list(next(iter(headlines.values())))
    width = 0.8 / len(headlines)
    for number, (method, shares) in enumerate(headlines.items()):
        colour = METHOD_COLOURS.get(method, LINES[number % len(LINES)])
        labelled = False
        for place, name in enumerate(names):
            share = shares[name]
            x = place - 0.4 + width * (number + 0.5)
            if share is None or share.value is None:
                if number == 0:
                    axes.text(place, 0.03, "no rows", ha="center", color=MUTED, fontsize=9)
                continue
            axes.bar(x, share.value, width * 0.86, color=colour, label=None if labelled else method)
            labelled = True
            if share.low is not None and share.high is not None:
                axes.plot([x, x], [share.low, share.high], color=INK, linewidth=1.2)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 1.02)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("accuracy")
    _percent(axes.yaxis)
    _legend(axes)
    return figure


def plot_calibration(diagram: Reliability) -> Figure:
    """Accuracy against confidence, bin by bin, with how many rows each bin has."""
    figure = _figure(_SIZE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _style(upper)
    _style(lower)
    width = float(diagram.edges[1] - diagram.edges[0])
    filled = diagram.counts > 0
    middle = (diagram.edges[:-1] + width / 2)[filled]
    upper.bar(middle, diagram.accuracy[filled], width * 0.9, color=METHOD_COLOURS["fused"])
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    upper.plot(
        diagram.confidence[filled],
        diagram.accuracy[filled],
        linestyle="none",
        marker="o",
        markersize=4,
        color=INK,
    )
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("accuracy")
    _percent(upper.yaxis)
    lower.bar(middle, diagram.counts[filled], width * 0.9, color=METHOD_COLOURS["base"])
    lower.set_ylabel("rows")
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lower.locator_params(axis="y", nbins=2)
    lower.set_xlabel("confidence")
    _percent(lower.xaxis)
    return figure


def plot_risk_coverage(curves: Mapping[str, RiskCoverage]) -> Figure:
    """Share of wrong answers against share of rows answered, one line a name.

    A single curve has no legend.
    """
    figure, axes = _axes(_SIZE)
    highest = 0.0
    for number, (name, curve) in enumerate(curves.items()):
        if not len(curve.coverage):
            continue
        kept = np.unique(np.linspace(0, len(curve.coverage) - 1, _CURVE_POINTS).astype(int))
        coverage, risk = curve.coverage[kept], curve.risk[kept]
        highest = max(highest, float(risk.max()))
        colour = LINES[number % len(LINES)]
        marker = "o" if len(kept) == 1 else None
        axes.plot(coverage, risk, color=colour, linewidth=1.9, marker=marker, label=_plain(name))
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, max(0.05, min(1.02, highest * 1.15)))
    axes.set_xlabel("coverage: share of rows answered, surest first")
    axes.set_ylabel("wrong answers")
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    if len(curves) > 1:
        _legend(axes)
    return figure


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


def _plain(name: str) -> str:
    """A legend entry that matplotlib neither reads as mathematics nor hides for its underscore."""
    return "\u200b" + name.replace("$", r"\$")


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = _figure(size)
    axes = figure.subplots()
    _style(axes)
    return figure, axes


def _style(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, labelsize=10, length=0)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    axes.xaxis.label.set_fontsize(10)
    axes.yaxis.label.set_fontsize(10)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _percent(axis: mpl.axis.Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g} %"))


def _legend(axes: Axes, rows: int = 1) -> None:
    """A legend above the axes; with two rows, each half of the entries has its own."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = -(-len(handles) // rows)
    # matplotlib fills column by column.
    order = [entry for column in range(columns) for entry in range(column, len(handles), columns)]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.2,
        columnspacing=1.3,
        handlelength=1.5,
        handletextpad=0.5,
    )


def dots_by_group(groups: Sequence[int] | Ints | None, recall: Floats) -> dict[str, Ints]:
    """Which classes the dots of each ``dots-<group>`` stand for, in the order they are drawn."""
    known = ~np.isnan(recall)
    if groups is None:
        return {"dots-all": np.flatnonzero(known)}
    index = np.asarray(groups)
    return {
        f"dots-{name}": np.flatnonzero(known & (index == i)) for i, name in enumerate(GROUP_NAMES)
    }
