"""The rows that a prediction has done so far: whole files, in a folder beside its target.

``job.json`` says what the job is. Each part holds some thousand rows of a prediction file; its
schema's metadata tell the bad images among them and what else the end of the job needs to know.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from rac.embedding.stream import Rows
from rac.quarantine import Quarantined
from rac.tables import Item
from rac.unfinished import DESCRIPTION, changed, goes_on
from retrieval_index.files import replace_file

PART_ROWS = 4096
"""Rows of a part, at least: what a killed job may lose."""

Input: TypeAlias = tuple[str, str | None]
"""An id, and the reference of an image or the SHA-256 of its bytes."""

_NOTES_KEY = b"rac.part"
_INPUT = "input"


class PredictionJob(BaseModel):
    """What an unfinished job is; another one may not go on with its parts.

    Attributes:
        table: as the user named it.
        image: column of it.
        id: column of it; None where rows are numbered.
        label: column of it, if any.
        encoder: identity.
        model: digest of the model's configuration and of its memory's files.
        name: of the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    image: str
    id: str | None
    label: str | None
    encoder: str
    model: str
    name: str


class PartNotes(BaseModel):
    """What a part tells beside its rows.

    Attributes:
        bad: the images that could not be read.
        strange: labels that are no class of the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bad: list[Quarantined] = []
    strange: list[str] = []


class PredictionParts:
    """The parts of one job.

    Attributes:
        files: whole parts, in the order of their rows.
        notes: of each.
        rows: how many there are in all.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder
        self._source = source
        self.files: list[Path] = []
        self.notes: list[PartNotes] = []
        self.rows = 0

    @classmethod
    def open(cls, folder: Path, job: PredictionJob, *, restart: bool) -> PredictionParts:
        """Begin a job, or find the parts of the same job's last run.

        Raises:
            InputError: the folder holds the parts of another job.
        """
        parts = cls(folder, job.table)
        if restart:
            for path in (folder / DESCRIPTION, *folder.glob("part-*")):
                path.unlink(missing_ok=True)
        if goes_on(folder, job, holder=folder, otherwise="write to another file"):
            parts._find()
        return parts

    def _find(self) -> None:
        while (path := self._next()).exists():
            metadata = pq.read_metadata(path)
            self.files.append(path)
            self.notes.append(PartNotes.model_validate_json(metadata.metadata[_NOTES_KEY]))
            self.rows += metadata.num_rows

    def _next(self) -> Path:
        return self._folder / f"part-{self.rows:012d}.parquet"

    def after_done(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Give the rows that are still to be done; those done before must be as they were.

        Raises:
            InputError: ids or images of rows done before have changed.
        """
        # While the rest is read, parts are added.
        rows, done = self.rows, _inputs_of(self.files[:])
        skipped = 0
        for batch in batches:
            old = min(len(batch.items), rows - skipped)
            for item in batch.items[:old]:
                if input_of(item) != next(done):
                    raise changed(self._source, self._folder)
            skipped += old
            if old < len(batch.items):
                yield Rows(batch.cells.slice(old), batch.items[old:])
        if skipped < rows:
            raise changed(self._source, self._folder)

    def blocks(self) -> Iterator[pa.Table]:
        """Give the rows of the prediction file, part by part."""
        for path in self.files:
            yield pq.read_table(path).drop_columns([_INPUT]).replace_schema_metadata(None)

    def add(self, rows: pa.Table, inputs: Sequence[Input], notes: PartNotes) -> None:
        """Write a part, whole or not at all.

        Args:
            rows: of a prediction file.
            inputs: what each of them was made from, see :func:`input_of`.
            notes: of these rows.
        """
        cells = pa.array([cell for _, cell in inputs], pa.string())
        part = rows.append_column(_INPUT, cells)
        path = self._next()
        with replace_file(path) as draft:
            metadata = {_NOTES_KEY: notes.model_dump_json()}
            pq.write_table(part.replace_schema_metadata(metadata), draft)
        self.files.append(path)
        self.notes.append(notes)
        self.rows += len(rows)

    def remove(self) -> None:
        """Remove the parts, once the whole file is there."""
        shutil.rmtree(self._folder)


def input_of(item: Item) -> Input:
    """Give what the prediction of an item is made from."""
    image = item.image
    return item.id, hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else image


def _inputs_of(parts: Sequence[Path]) -> Iterator[Input]:
    for path in parts:
        made = pq.read_table(path, columns=["id", _INPUT])
        yield from zip(made["id"].to_pylist(), made[_INPUT].to_pylist(), strict=True)
