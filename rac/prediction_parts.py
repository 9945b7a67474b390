"""The rows that a prediction has done so far: whole files, in a folder beside its target.

``job.json`` says what the job is, ``parts.json``, sealed, how many rows each part has and its
SHA-256. Each part holds some thousand rows of a prediction file; its schema's metadata tell the bad
images among them and what else the end of the job needs to know.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from eval.errors import ReportFault
from eval.sealed_json import SEAL, read_object, require_seal, seal
from rac.embedding.stream import Rows
from rac.errors import InputError
from rac.quarantine import Quarantined
from rac.tables import Item
from rac.unfinished import changed, goes_on, remove_made
from retrieval_index.files import replace_file, sha256_file

PART_ROWS = 4096
"""Rows of a part, at least: what a killed job may lose."""

Input: TypeAlias = tuple[str, str | None]
"""An id, and the reference of an image or the SHA-256 of its bytes."""

_LISTING = "parts.json"
_NAMES = r"(?:part-\d{12}\.parquet|parts\.json|job\.json)"
_PARTS = re.compile(rf"{_NAMES}|\.{_NAMES}\.\w+\.part")
# The lock is held until the end, so it goes with the folder.
_MADE = re.compile(rf"{_PARTS.pattern}|\.lock\S*")
_AGAIN = "throw what was done away with --restart"
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


class WholePart(BaseModel):
    """What tells a part from a damaged one.

    Attributes:
        rows: how many it has.
        sha256: of its bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    sha256: str


class PartListing(BaseModel):
    """The parts that are whole, in the order of their rows, as ``parts.json`` tells them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: tuple[WholePart, ...] = ()


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
        self._listed: list[WholePart] = []
        self.files: list[Path] = []
        self.notes: list[PartNotes] = []
        self.rows = 0

    @classmethod
    def open(cls, folder: Path, job: PredictionJob, *, restart: bool) -> PredictionParts:
        """Begin a job, or find the parts of the same job's last run.

        Raises:
            InputError: the folder holds the parts of another job, or one is missing or damaged.
        """
        parts = cls(folder, job.table)
        if restart:
            remove_made(folder, _PARTS)
        if goes_on(folder, job, holder=folder, otherwise="write to another file"):
            parts._find()
        return parts

    def _find(self) -> None:
        listing = self._listing()
        if listing is None:
            # Of an older release, which kept no list: as far as they can be read.
            while (path := self._next()).exists():
                self._take(path, None)
            return
        for part in listing.parts:
            self._take(self._next(), part)

    def _listing(self) -> PartListing | None:
        path = self._folder / _LISTING
        try:
            content = read_object(path)
            if content is None:
                return None
            require_seal(content, path)
            return PartListing.model_validate({k: v for k, v in content.items() if k != SEAL})
        except (ReportFault, ValidationError) as fault:
            raise InputError(f"{fault}; {_AGAIN}") from fault

    def _take(self, path: Path, part: WholePart | None) -> None:
        """Take in a part, after it was seen to be the one that was written."""
        try:
            digest = sha256_file(path)
            if part is not None and digest != part.sha256:
                raise InputError(
                    f"{path}: it is damaged: its bytes are not those written; {_AGAIN}"
                )
            metadata = pq.read_metadata(path)
            notes = PartNotes.model_validate_json((metadata.metadata or {})[_NOTES_KEY])
            if part is None:
                pq.read_table(path).validate(full=True)
        except FileNotFoundError:
            raise InputError(f"{path}: it is missing; {_AGAIN}") from None
        except (pa.ArrowException, OSError, KeyError, ValidationError) as fault:
            raise InputError(f"{path}: it is damaged: {fault}; {_AGAIN}") from fault
        self._listed.append(WholePart(rows=metadata.num_rows, sha256=digest))
        self.files.append(path)
        self.notes.append(notes)
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
            self._listed.append(WholePart(rows=len(rows), sha256=sha256_file(draft)))
        # After the part: one that is not listed is made again.
        with replace_file(self._folder / _LISTING) as draft:
            listed = PartListing(parts=tuple(self._listed)).model_dump(mode="json")
            draft.write_text(json.dumps(seal(listed)) + "\n", encoding="utf-8")
        self.files.append(path)
        self.notes.append(notes)
        self.rows += len(rows)

    def remove(self) -> None:
        """Remove the parts, once the whole file is there; what else lies in the folder stays."""
        remove_made(self._folder, _MADE)


def input_of(item: Item) -> Input:
    """Give what the prediction of an item is made from."""
    image = item.image
    return item.id, hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else image


def _inputs_of(parts: Sequence[Path]) -> Iterator[Input]:
    for path in parts:
        made = pq.read_table(path, columns=["id", _INPUT])
        yield from zip(made["id"].to_pylist(), made[_INPUT].to_pylist(), strict=True)
