"""Filled attributes."""

from __future__ import annotations

from pydantic import Field

from eval.schema.record import Record


class ValueMetrics(Record):
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


class MistakeCount(Record):
    """A true value and the value that its cells were wrongly filled with."""

    truth: str
    value: str
    cells: int


class PromiseMetrics(Record):
    """What a fill run promised of an attribute; null where it said nothing."""

    target: float | None = Field(description="precision that was asked for")
    expected: float | None = Field(description="expected, from known cells that were held out")
    at_least: float | None = Field(description="lower bound of the precision, with confidence")
    confidence: float | None


class FillMetrics(Record):
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
