"""Shares with their intervals, and the ones that people quote."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eval.schema.record import Record


class Figure(Record):
    """A share with its interval."""

    value: float | None = Field(description="the share; null where there are no rows")
    low: float | None = Field(description="lower end of the interval; null with the value")
    high: float | None = Field(description="upper end of the interval; null with the value")
    rows: int = Field(description="test rows that it is computed from")
    classes: int = Field(description="classes with test rows among those rows")
    interval: Literal["bootstrap", "exact"] | None = Field(
        description=(
            "bootstrap percentiles, made wider where they leave the value out; or exact "
            "(Clopper-Pearson over the rows) where every row has the same outcome, which a "
            "bootstrap would take for certainty"
        )
    )


class Difference(Record):
    """A paired difference of two shares: both sides saw the same resampled rows."""

    value: float | None = Field(description="first minus second; null where there are no rows")
    low: float | None = Field(description="lower end of the paired bootstrap interval")
    high: float | None = Field(description="upper end of the paired bootstrap interval")


class Headline(Record):
    """The figures that people quote."""

    top1: Figure = Field(description="share of rows whose prediction is the label")
    top5: Figure | None = Field(
        description="share of rows whose label is among the five best scores; null without scores "
        "or with five classes or fewer, where it says nothing"
    )
    macro: Figure = Field(
        description="mean recall of the classes that have test rows, also called balanced accuracy"
    )
    many: Figure | None = Field(description="macro over the many classes; null without counts")
    medium: Figure | None = Field(description="macro over the medium classes; null without counts")
    few: Figure | None = Field(description="macro over the few classes; null without counts")
    harmonic: Figure = Field(
        description="harmonic mean of the recalls of the classes that have test rows; a recall "
        "below 0.001 counts as 0.001"
    )
    worst: Figure = Field(
        description="lowest recall of a class that has test rows; classes and rows are those that "
        "have it, and the interval is exact, for these rows"
    )


class Gain(Record):
    """The fused prediction minus one branch alone."""

    top1: Difference
    macro: Difference
    many: Difference | None
    medium: Difference | None
    few: Difference | None
    harmonic: Difference
