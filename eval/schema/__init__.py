"""The schema of ``metrics.json``, version 1.

A figure that has no rows to stand on is null, never 0. Shares are between 0 and 1. A field may be
added without a new version; a field that changes its meaning or goes away raises it.
"""

from __future__ import annotations

from eval.schema.comparison import ClassChange, ComparisonMetrics, FigureChange
from eval.schema.document import SCHEMA_VERSION, MetricsDocument, Settings
from eval.schema.figures import Difference, Figure, Gain, Headline
from eval.schema.fills import FillMetrics, MistakeCount, PromiseMetrics, ValueMetrics
from eval.schema.honesty import Honesty, OverlapCheck
from eval.schema.run import (
    Bin,
    BranchSummary,
    CalibrationSummary,
    ClassCounts,
    Confusion,
    Convention,
    GroupInfo,
    GroupRule,
    RowCounts,
    RunMetrics,
    SelectiveSummary,
)

__all__ = [
    "SCHEMA_VERSION",
    "Bin",
    "BranchSummary",
    "CalibrationSummary",
    "ClassChange",
    "ClassCounts",
    "ComparisonMetrics",
    "Confusion",
    "Convention",
    "Difference",
    "Figure",
    "FigureChange",
    "FillMetrics",
    "Gain",
    "GroupInfo",
    "GroupRule",
    "Headline",
    "Honesty",
    "MetricsDocument",
    "MistakeCount",
    "OverlapCheck",
    "PromiseMetrics",
    "RowCounts",
    "RunMetrics",
    "SelectiveSummary",
    "Settings",
    "ValueMetrics",
]
