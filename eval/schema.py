"""The schema of ``metrics.json``, version 1.

A figure that has no rows to stand on is null, never 0. Shares are between 0 and 1. A field may be
added without a new version; a field that changes its meaning or goes away raises it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION: Literal[1] = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Record):
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


class Difference(_Record):
    """A paired difference of two shares: both sides saw the same resampled rows."""

    value: float | None = Field(description="first minus second; null where there are no rows")
    low: float | None = Field(description="lower end of the paired bootstrap interval")
    high: float | None = Field(description="upper end of the paired bootstrap interval")


class Headline(_Record):
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


class Gain(_Record):
    """The fused prediction minus one branch alone."""

    top1: Difference
    macro: Difference
    many: Difference | None
    medium: Difference | None
    few: Difference | None
    harmonic: Difference


class RowCounts(_Record):
    """What was evaluated and what was left out."""

    total: int = Field(description="rows of the prediction file")
    evaluated: int = Field(description="rows with a label and a prediction")
    unlabelled: int = Field(description="rows left out: their label is unknown")
    unpredicted: int = Field(description="rows left out: labelled, but no prediction was made")


class ClassCounts(_Record):
    """How many classes there are and how many could be judged."""

    total: int
    with_test_rows: int
    without_test_rows: int = Field(description="left out of every average over classes")


class GroupInfo(_Record):
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


class GroupRule(_Record):
    """How the groups were made."""

    rule: Literal["thresholds", "thirds"]
    many_above: int = Field(description="many: more training rows than this")
    few_below: int = Field(description="few: fewer training rows than this")
    description: str
    many: GroupInfo
    medium: GroupInfo
    few: GroupInfo


class Bin(_Record):
    """A bar of the calibration diagram."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


class CalibrationSummary(_Record):
    """Confidence against accuracy."""

    error: float | None = Field(description="expected calibration error, bins of equal width")
    bins: list[Bin]


class SelectiveSummary(_Record):
    """Answering only the surest rows."""

    area: float | None = Field(description="area under the risk-coverage curve; lower is better")
    coverage_at_precision: dict[str, float] = Field(
        description="largest share of rows answered at that precision, read off the same rows"
    )


class Convention(_Record):
    """A figure as others count it, where that gives another number."""

    name: str
    figure: Figure
    reason: str = Field(description="why it differs from the headline")


class OverlapCheck(_Record):
    """Whether test rows are among the images of training, or of the selection of settings."""

    checked: Literal["content", "table", "no images", "not checked"] = Field(
        description="by content hash; by the names of the tables alone; there is nothing to check, "
        "since it was done with no images; or not at all"
    )
    same_table: bool = Field(description="both are the same table by name")
    rows: int = Field(description="evaluated rows whose image is among those images")
    unknown: int = Field(description="evaluated rows without a content hash")
    examples: list[str] = Field(description="ids of such rows, at most 5")
    top1_without: float | None = Field(description="top-1 of the other rows; null without overlap")
    macro_without: float | None = Field(description="macro of the other rows; null without overlap")

    @property
    def broken(self) -> bool:
        """Whether figures from these rows cannot be trusted.

        Where the contents of all rows were compared, these decide: another file may have the name.
        """
        compared = self.checked == "content" and not self.unknown
        return self.rows > 0 or (self.same_table and not compared)


class Honesty(_Record):
    """What may make the figures better than they are."""

    training: OverlapCheck
    selection: OverlapCheck
    forced: bool = Field(description="the report was asked for in spite of what was found")


class BranchSummary(_Record):
    """What the two branches do alone, and what fusing them changes."""

    base: Headline | None
    retrieval: Headline | None
    gain_over_base: Gain | None
    gain_over_retrieval: Gain | None
    rescued: int | None = Field(description="rows that base has wrong and the fused model right")
    harmed: int | None = Field(description="rows that base has right and the fused model wrong")


class Confusion(_Record):
    """A pair of classes that is mixed up."""

    label: str
    prediction: str
    rows: int
    share_of_label: float = Field(description="rows / test rows of the label")


class RunMetrics(_Record):
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


class FigureChange(_Record):
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


class ClassChange(_Record):
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


class ComparisonMetrics(_Record):
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


class ValueMetrics(_Record):
    """One value of an attribute."""

    value: str
    known: int | None = Field(description="cells that held it before; null where not known")
    written: int = Field(description="empty cells that it was written into")
    cells: int = Field(description="judged cells whose true value it is")
    filled: int = Field(description="judged cells that it was written into")
    correct: int = Field(description="those of them whose true value it is")
    abstained: int = Field(description="judged cells whose true value it is and that stayed empty")
    coverage: float | None = Field(description="share of its cells that were filled")
    precision: float | None = Field(description="correct / filled; null where nothing was filled")
    low: float | None = Field(description="exact 95 % interval of the precision")
    high: float | None


class MistakeCount(_Record):
    """A true value and the value that its cells were wrongly filled with."""

    truth: str
    value: str
    cells: int


class PromiseMetrics(_Record):
    """What a fill run promised of an attribute; null where it said nothing."""

    target: float | None = Field(description="precision that was asked for")
    expected: float | None = Field(description="expected, from known cells that were held out")
    at_least: float | None = Field(description="lower bound of the precision, with confidence")
    confidence: float | None


class FillMetrics(_Record):
    """One attribute, or all of them."""

    known: int = Field(description="cells that held a value before and were not touched")
    empty: int = Field(description="cells that held none")
    written: int = Field(description="empty cells that were filled, truth known or not")
    cells: int = Field(description="judged cells: with a known truth that were asked for")
    filled: int = Field(description="judged cells that were filled")
    abstained: int = Field(description="judged cells that stayed empty")
    correct: int
    coverage: float | None = Field(description="filled / cells; null without cells")
    precision: float | None = Field(description="correct / filled; null where nothing was filled")
    low: float | None = Field(description="exact 95 % interval of the precision")
    high: float | None
    area: float | None = Field(description="area under the risk-coverage curve of judged cells")
    reasons: dict[str, int] = Field(
        description="why empty cells stayed empty, without numbers and quoted values"
    )
    promise: PromiseMetrics | None = Field(description="null where the run promised nothing")
    values: list[ValueMetrics] = Field(description="most cells first; empty for the total")
    mistakes: list[MistakeCount] = Field(description="most frequent first, at most 20")


class Settings(_Record):
    """What the figures were computed with."""

    many: int
    few: int
    resamples: int
    confidence: float = Field(description="of every interval")
    seed: int
    bins: int = Field(description="of the calibration diagram")


class MetricsDocument(_Record):
    """The whole file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    settings: Settings
    runs: list[RunMetrics]
    comparisons: list[ComparisonMetrics] = Field(
        description="each further run against the first one"
    )
    fills: dict[str, FillMetrics] | None = Field(description="null where nothing was filled")
    fills_total: FillMetrics | None
