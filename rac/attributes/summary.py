"""What a job tells of each attribute: how much was filled, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rac.attributes.model.filler import AttributeFiller
from rac.attributes.model.grounds import Source


@dataclass(frozen=True)
class AttributeSummary:
    """The figures of one attribute. Shares are in [0, 1], and None where nothing is behind them.

    Attributes:
        attribute: its name.
        column: the table's column.
        source: ``fused`` or ``zero-shot``.
        values: how many values it can take.
        cells: rows of the table.
        known: cells that held a value; they were not touched.
        outside: those of them whose value is not one of the attribute's.
        missing: cells that held nothing.
        filled: missing cells that were filled.
        not_applicable: missing cells of which it was said that the attribute does not apply.
        abstained: missing cells that were left as they were, for want of sureness.
        bad_images: missing cells that were left as they were, for want of a readable image.
        coverage: filled / missing.
        target_precision: asked for.
        expected_precision: of the filled cells, judged on known cells that were held out.
        precision_bound: what the precision is at least, with ``confidence``.
        confidence: of the bound.
        expected_coverage: judged on the same known cells.
        threshold: cells were filled where the probability was greater.
        judged: known cells that the threshold was fitted on.
        judged_above: those of them above it.
        judged_right: those of these that were right.
        held_back: values that were not filled, having been mostly wrong on known cells.
        reason: why nothing was filled, or what the promise lacks; None where all is well.
        weights: of each kind of evidence.
    """

    attribute: str
    column: str
    source: Source
    values: int
    cells: int
    known: int
    outside: int
    missing: int
    filled: int
    not_applicable: int
    abstained: int
    bad_images: int
    coverage: float | None
    target_precision: float
    expected_precision: float | None
    precision_bound: float | None
    confidence: float | None
    expected_coverage: float | None
    threshold: float | None
    judged: int
    judged_above: int
    judged_right: int
    held_back: list[str]
    reason: str | None
    weights: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Give the figures by name."""
        return asdict(self)


def summarise(
    filler: AttributeFiller,
    *,
    cells: int,
    missing: int,
    outside: int,
    bad_images: int,
    filled: int,
    not_applicable: int,
) -> AttributeSummary:
    """Put counts and promise of one attribute together; counts as in ``AttributeSummary``."""
    attribute, threshold = filler.vocabulary.attribute, filler.threshold
    return AttributeSummary(
        attribute=attribute.name,
        column=attribute.column,
        source=filler.source,
        values=len(filler.vocabulary.names),
        cells=cells,
        known=cells - missing,
        outside=outside,
        missing=missing,
        filled=filled,
        not_applicable=not_applicable,
        abstained=missing - filled - not_applicable - bad_images,
        bad_images=bad_images,
        coverage=filled / missing if missing else None,
        target_precision=threshold.target,
        expected_precision=threshold.expected_precision,
        precision_bound=threshold.precision_bound,
        confidence=threshold.confidence if threshold.precision_bound is not None else None,
        expected_coverage=threshold.expected_coverage,
        threshold=threshold.above,
        judged=threshold.known,
        judged_above=threshold.cells,
        judged_right=threshold.right,
        held_back=filler.withheld_names,
        reason=threshold.reason,
        weights=filler.grounds.weights,
    )


@dataclass(frozen=True)
class WrittenBack:
    """What a job has set in a database, as the database holds it.

    Attributes:
        cells: cells set by this run.
        stored_otherwise: those of them that the database stored otherwise than they were sent.
        examples: some of these: column, key, sent, stored.
        left: cells that were to be set and were not, since they are not as read any more, or since
            the database lets nobody set them without an error.
        left_examples: some of these: column and key.
        refused: cells that the database refuses to hold with an error; they stay as they were.
        refused_examples: some of these: column, key and error.
        other_runs: cells that hold fills of other runs; they teach nothing and stay.
        side_effects: columns that the database changes by itself with a fill, and that undo does
            not give back.
        journal: where it stands what was written.
    """

    cells: int
    stored_otherwise: int
    examples: list[dict[str, str | None]]
    left: int
    left_examples: list[dict[str, str]]
    refused: int
    refused_examples: list[dict[str, str]]
    other_runs: int
    side_effects: list[str]
    journal: str


@dataclass(frozen=True)
class FillSummary:
    """What a job did.

    Attributes:
        table: what was filled, as the user called it.
        rows: rows considered.
        bad_images: rows whose image could not be read.
        bad_reasons: how many of these for each reason.
        attributes: the figures of each attribute, by name.
        new_columns: columns that the table did not have.
        duplicate_ids: rows whose id an earlier row has too; the ledger's ``row`` tells them apart.
        first_duplicates: some of these ids.
        images_opened: images read in this run; 0 where the run's folder had all embeddings.
        seconds: by stage: embed, fit, decide, write.
        encoder: the encoder's name.
        encoder_identity: what its weights and preprocessing hash to.
        schema_hash: what the schema's meaning hashes to.
        dry_run: whether the filled copy was left out.
        files: what was written, by kind.
        resumed_rows: rows whose decisions an earlier run had left; all of them where nothing that
            decisions follow from has changed since.
        cells_written: cells set in the database by this run; None for files.
        damaged: what of earlier jobs in the folder was damaged, in words; it was made anew.
        database: what the database holds then; None for files.
    """

    table: str
    rows: int
    bad_images: int
    bad_reasons: dict[str, int]
    attributes: dict[str, AttributeSummary]
    new_columns: list[str]
    duplicate_ids: int
    first_duplicates: list[str]
    images_opened: int
    seconds: dict[str, float]
    encoder: str
    encoder_identity: str
    schema_hash: str
    dry_run: bool
    files: dict[str, str]
    resumed_rows: int = 0
    cells_written: int | None = None
    damaged: Sequence[str] = ()
    database: WrittenBack | None = None

    @property
    def missing(self) -> int:
        """Missing cells over all attributes."""
        return sum(one.missing for one in self.attributes.values())

    @property
    def filled(self) -> int:
        """Filled cells over all attributes."""
        return sum(one.filled for one in self.attributes.values())

    @property
    def coverage(self) -> float | None:
        """Filled / missing over all attributes; None where nothing was missing."""
        return self.filled / self.missing if self.missing else None

    def as_json(self) -> dict[str, Any]:
        """Give the summary as plain data, as ``summary.json`` holds it."""
        return {
            "table": self.table,
            "rows": self.rows,
            "bad_images": self.bad_images,
            "bad_reasons": self.bad_reasons,
            "missing": self.missing,
            "filled": self.filled,
            "coverage": self.coverage,
            "attributes": {name: one.as_json() for name, one in self.attributes.items()},
            "new_columns": self.new_columns,
            "duplicate_ids": self.duplicate_ids,
            "first_duplicates": self.first_duplicates,
            "images_opened": self.images_opened,
            "seconds": self.seconds,
            "encoder": self.encoder,
            "encoder_identity": self.encoder_identity,
            "schema_hash": self.schema_hash,
            "dry_run": self.dry_run,
            "files": self.files,
            "resumed_rows": self.resumed_rows,
            "cells_written": self.cells_written,
            "damaged": list(self.damaged),
            "database": None if self.database is None else asdict(self.database),
        }
