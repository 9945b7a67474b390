"""How the plots look: colours, axes, legends.

Colours are the constants below; :mod:`eval.svg` turns them into the page's own, light or dark.
"""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK = "#1b2431"
MUTED = "#5b6675"
GRID = "#e1e5eb"
GROUP_COLOURS = {"many": "#0f6ab4", "medium": "#12806a", "few": "#c4500b"}
METHOD_COLOURS = {"base": "#8a94a3", "retrieval": "#b7791f", "fused": "#5b45c9"}
UNGROUPED = "#4a6fa5"
LINES = ("#5b45c9", "#c4500c", "#12806b", "#0f6ab5", "#b7791e", "#a8326f")

SIZE = (5.6, 3.7)


def new_figure(size: tuple[float, float]) -> Figure:
    """A figure of so many inches, without a ground of its own."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def new_axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure = new_figure(size)
    axes = figure.subplots()
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Give axes a quiet grid and no frame."""
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


def in_percent(axis: mpl.axis.Axis) -> None:
    """Label the ticks of an axis of shares in per cent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g} %"))


def add_legend(axes: Axes, rows: int = 1) -> None:
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


def plain_label(name: str) -> str:
    """A legend entry that matplotlib neither reads as mathematics nor hides for its underscore."""
    return "\u200b" + name.replace("$", r"\$")
