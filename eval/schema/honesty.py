"""What may make the figures better than they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eval.schema.record import Record


class OverlapCheck(Record):
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


class Honesty(Record):
    """What may make the figures better than they are."""

    training: OverlapCheck
    selection: OverlapCheck
    forced: bool = Field(description="the report was asked for in spite of what was found")
