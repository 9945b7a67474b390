"""Everything about one prediction file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from eval.schema.figures import Figure, Gain, Headline
from eval.schema.honesty import Honesty
from eval.schema.record import Record


class RowCounts(Record):
    """What was evaluated and what was left out."""

    total: int = Field(description="rows of the prediction file")
    evaluated: int = Field(description="rows with a label and a prediction")
    unlabelled: int = Field(description="rows left out: their label is unknown")
    unpredicted: int = Field(description="rows left out: labelled, but no prediction was made")


class ClassCounts(Record):
    """How many classes there are and how many could be judged."""

    total: int
    with_test_rows: int
    without_test_rows: int = Field(description="left out of every average over classes")


class GroupInfo(Record):
    """One of many, medium, few."""

    classes: int
    classes_with_test_rows: int
    rows: int
    neighbour_purity: float | None = Field(
        description="mean share of a row's neighbours that have its label; null without them"
    )
    calibration_error: float | None = Field(description="null without confidences or rows")
    rescued: int | None = Field(
        description="rows that base has wrong and the fused model right; null without base"
    )
    harmed: int | None = Field(description="rows that base has right and the fused model wrong")


class GroupRule(Record):
    """How the groups were made."""

    rule: Literal["thresholds", "thirds"]
    many_above: int = Field(description="many: more training rows than this")
    few_below: int = Field(description="few: fewer training rows than this")
    description: str
    many: GroupInfo
    medium: GroupInfo
    few: GroupInfo


class Bin(Record):
    """A bar of the calibration diagram."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


class CalibrationSummary(Record):
    """Confidence against accuracy."""

    error: float | None = Field(description="expected calibration error, bins of equal width")
    by_chance: float | None = Field(
        description="the error that exactly right confidences would show on so few rows, on average"
    )
    bins: list[Bin]


class SelectiveSummary(Record):
    """Answering only the surest rows."""

    area: float | None = Field(description="area under the risk-coverage curve; lower is better")
    coverage_at_precision: dict[str, float] = Field(
        description="largest share of rows answered at that precision, read off the same rows"
    )


class Convention(Record):
    """A figure as others count it, where that gives another number."""

    name: str
    figure: Figure
    reason: str = Field(description="why it differs from the headline")


class BranchSummary(Record):
    """What the two branches do alone, and what fusing them changes."""

    base: Headline | None
    retrieval: Headline | None
    gain_over_base: Gain | None
    gain_over_retrieval: Gain | None
    rescued: int | None = Field(description="rows that base has wrong and the fused model right")
    harmed: int | None = Field(description="rows that base has right and the fused model wrong")


class Confusion(Record):
    """A pair of classes that is mixed up."""

    label: str
    prediction: str
    rows: int
    share_of_label: float = Field(description="rows / test rows of the label")


class RunMetrics(Record):
    """Everything about one prediction file."""

    name: str
    rows: RowCounts
    classes: ClassCounts
    groups: GroupRule | None = Field(description="null where training counts are unknown")
    headline: Headline
    conventions: list[Convention] = Field(description="figures as others count them")
    honesty: Honesty
    branches: BranchSummary | None = Field(description="null without branch predictions")
    calibration: CalibrationSummary | None = Field(description="null without confidences")
    selective: SelectiveSummary | None = Field(description="null without confidences")
    confusions: list[Confusion] = Field(description="most frequent first, at most 20")
    notes: list[str] = Field(description="what was left out or could not be computed, and why")
    metadata: dict[str, JsonValue] = Field(description="provenance, as the predictions gave it")
