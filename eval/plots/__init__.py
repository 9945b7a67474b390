"""The plots of a report, as matplotlib figures; a notebook shows them as they are.

Figures are made without pyplot, so nothing global changes and nothing has to be closed.
"""

from __future__ import annotations

from eval.plots.by_count import dots_by_group, mean_along, plot_accuracy_by_count, plot_changes
from eval.plots.confidence import plot_calibration, plot_risk_coverage
from eval.plots.groups import plot_groups

__all__ = [
    "dots_by_group",
    "mean_along",
    "plot_accuracy_by_count",
    "plot_calibration",
    "plot_changes",
    "plot_groups",
    "plot_risk_coverage",
]
