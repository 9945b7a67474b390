"""Plots of confidence: whether it is accuracy, and what answering only when sure is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from eval.calibration import Reliability
from eval.plots.style import (
    INK,
    LINES,
    METHOD_COLOURS,
    MUTED,
    SIZE,
    add_legend,
    in_percent,
    new_axes,
    new_figure,
    plain_label,
    style_axes,
)
from eval.selective import RiskCoverage

_CURVE_POINTS = 400


def plot_calibration(diagram: Reliability) -> Figure:
    """Accuracy against confidence, bin by bin, with how many rows each bin has."""
    figure = new_figure(SIZE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    style_axes(upper)
    style_axes(lower)
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
    in_percent(upper.yaxis)
    lower.bar(middle, diagram.counts[filled], width * 0.9, color=METHOD_COLOURS["base"])
    lower.set_ylabel("rows")
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lower.locator_params(axis="y", nbins=2)
    lower.set_xlabel("confidence")
    in_percent(lower.xaxis)
    return figure


def plot_risk_coverage(curves: Mapping[str, RiskCoverage]) -> Figure:
    """Share of wrong answers against share of rows answered, one line a name.

    A single curve has no legend.
    """
    figure, axes = new_axes(SIZE)
    highest = 0.0
    for number, (name, curve) in enumerate(curves.items()):
        if not len(curve.coverage):
            continue
        kept = np.unique(np.linspace(0, len(curve.coverage) - 1, _CURVE_POINTS).astype(int))
        coverage, risk = curve.coverage[kept], curve.risk[kept]
        highest = max(highest, float(risk.max()))
        colour = LINES[number % len(LINES)]
        marker = "o" if len(kept) == 1 else None
        axes.plot(
            coverage, risk, color=colour, linewidth=1.9, marker=marker, label=plain_label(name)
        )
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, max(0.05, min(1.02, highest * 1.15)))
    axes.set_xlabel("coverage: share of rows answered, surest first")
    axes.set_ylabel("wrong answers")
    in_percent(axes.xaxis)
    in_percent(axes.yaxis)
    if len(curves) > 1:
        add_legend(axes)
    return figure
