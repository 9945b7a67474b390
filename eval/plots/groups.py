"""Bars of figures by group and method."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from eval.plots.style import (
    INK,
    LINES,
    METHOD_COLOURS,
    MUTED,
    SIZE,
    add_legend,
    in_percent,
    new_axes,
)
from eval.schema import Figure as Share


def plot_groups(headlines: Mapping[str, Mapping[str, Share | None]]) -> Figure:
    """Bars with intervals: for each figure (macro, many, ...) one bar a method.

    Args:
        headlines: method ("base", "retrieval", "fused") to figure name to share. A share without
            rows has no bar, and says "no rows".
    """
    figure, axes = new_axes(SIZE)
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
    in_percent(axes.yaxis)
    add_legend(axes)
    return figure
