"""One run against another."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eval.schema.figures import Difference, Figure
from eval.schema.record import Record


class FigureChange(Record):
    """A figure of two runs on their common rows."""

    name: str = Field(description="top1, top5, macro, many, medium, few or harmonic")
    before: Figure
    after: Figure
    difference: Difference = Field(description="after minus before, paired")
    changed: int = Field(description="rows of these classes that are right in one run only")
    alarm: bool = Field(
        description="it fell by more than its noise: the paired interval lies below zero, and at "
        "least six rows changed sides"
    )


class ClassChange(Record):
    """A class of which rows changed sides."""

    name: str
    group: Literal["many", "medium", "few"] | None
    rows: int = Field(description="common test rows")
    before: float = Field(description="recall of the first run")
    after: float = Field(description="recall of the second run")
    lost: int = Field(description="rows that only the first run has right")
    gained: int = Field(description="rows that only the second run has right")
    p: float = Field(description="exact two-sided sign test of lost against gained")
    alarm: bool = Field(
        description="it fell by more than its noise: found by the sign tests over all classes at "
        "a false discovery rate of 1 - confidence (Benjamini-Hochberg)"
    )


class ComparisonMetrics(Record):
    """A run against the first one of the report, on the rows that both answered."""

    before: str
    after: str
    rows: int = Field(description="rows with a label and a prediction in both")
    only_before: int = Field(description="rows that only the first run answered; left out")
    only_after: int = Field(description="rows that only the second run answered; left out")
    groups: str | None = Field(description="the rule of the groups; null without counts")
    figures: list[FigureChange]
    classes: list[ClassChange] = Field(description="classes that changed, greatest fall first")

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the figures that fell by more than their noise."""
        return tuple(figure.name for figure in self.figures if figure.alarm)

    @property
    def class_alarms(self) -> tuple[str, ...]:
        """Names of the classes that fell by more than their noise."""
        return tuple(change.name for change in self.classes if change.alarm)
