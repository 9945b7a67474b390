"""The whole of ``metrics.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eval.schema.comparison import ComparisonMetrics
from eval.schema.fills import FillMetrics
from eval.schema.record import Record
from eval.schema.run import RunMetrics

SCHEMA_VERSION: Literal[1] = 1


class Settings(Record):
    """What the figures were computed with."""

    many: int
    few: int
    resamples: int
    confidence: float = Field(description="of every interval")
    seed: int
    bins: int = Field(description="of the calibration diagram")


class MetricsDocument(Record):
    """The whole file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    settings: Settings
    runs: list[RunMetrics]
    comparisons: list[ComparisonMetrics] = Field(
        description="each further run against the first one"
    )
    fills: dict[str, FillMetrics] | None = Field(description="null where nothing was filled")
    fills_total: FillMetrics | None
