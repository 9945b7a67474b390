"""The rows that a job has done so far: files of whole parts, in a folder of the job's own.

``job.json`` says what the job is; each part holds some thousand rows and a digest of the ids and
image cells that they were made from.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from rac.embedding.batch import EmbeddedBatch
from rac.embedding.stream import Rows
from rac.encoders.base import FloatArray
from rac.unfinished import changed, goes_on
from retrieval_index.files import replace_file

_INPUTS_KEY = b"rac.inputs"
PART_ROWS = 4096
"""Rows of a part, at least: what a killed job may lose."""


class EmbeddingJob(BaseModel):
    """What an unfinished job is; another one may not go on with its parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    image: str
    id: str | None
    encoder: str
    encoder_identity: str
    trunk: bool


@dataclass
class _Gathered:
    """Columns of the rows that make the next part."""

    ids: list[str] = field(default_factory=list)
    vectors: list[tuple[FloatArray, FloatArray] | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    hashes: list[str | None] = field(default_factory=list)


class Parts:
    """The finished rows of an unfinished job: files of whole parts, and what is gathered next."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._files: list[Path] = []
        self._inputs: list[tuple[int, str]] = []
        self._waiting = _Gathered()
        self._digest = hashlib.sha256()
        self._writing: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self.rows = 0
        self.bad = 0

    @classmethod
    def open(cls, folder: Path, job: EmbeddingJob, schema: pa.Schema, *, restart: bool) -> Parts:
        """Begin a job, or find the parts of the same job's last run."""
        parts = cls(folder, schema)
        if restart:
            shutil.rmtree(folder, ignore_errors=True)
        if goes_on(folder, job, holder=folder.parent, otherwise="take another folder"):
            parts._find()
        return parts

    def _find(self) -> None:
        for path in sorted(self._folder.glob("part-*.parquet")):
            metadata = pq.read_metadata(path)
            if path != self._path(self.rows):
                break  # a part whose forerunner is gone
            status = pq.read_table(path, columns=["status"])["status"].to_pylist()
            self._files.append(path)
            self._inputs.append((len(status), metadata.metadata[_INPUTS_KEY].decode()))
            self.rows += len(status)
            self.bad += status.count("bad")

    def _path(self, first_row: int) -> Path:
        return self._folder / f"part-{first_row:012d}.parquet"

    def after_done(self, batches: Iterable[Rows], source: str) -> Iterator[Rows]:
        """Give the rows that are still to be done; those done before must be as they were."""
        inputs = iter(self._inputs)
        done, row = self.rows, 0
        part_rows, expected = next(inputs, (0, ""))
        digest, in_part = hashlib.sha256(), 0
        for batch in batches:
            skipped = max(0, min(len(batch.items), done - row))
            for item in batch.items[:skipped]:
                _add_input(digest, item.id, item.image)
                in_part += 1
                if in_part == part_rows:
                    if digest.hexdigest() != expected:
                        raise changed(source, self._folder)
                    part_rows, expected = next(inputs, (0, ""))
                    digest, in_part = hashlib.sha256(), 0
            row += len(batch.items)
            if skipped < len(batch.items):
                yield Rows(batch.cells.slice(skipped), batch.items[skipped:])
        if row < done:
            raise changed(source, self._folder)

    def add(self, batch: EmbeddedBatch) -> None:
        """Take a batch; write a part when there are rows enough."""
        for item in batch.items:
            _add_input(self._digest, item.id, item.image)
        # Not the batch itself: its cells may hold whole images.
        self._waiting.ids += [item.id for item in batch.items]
        self._waiting.vectors += batch.vectors
        self._waiting.reasons += batch.reasons
        self._waiting.hashes += batch.hashes
        if len(self._waiting.ids) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered as a part, whole, beside the work on the next one."""
        self.settle()
        if not self._waiting.ids:
            return
        path = self._path(self.rows)
        metadata = {**self._schema.metadata, _INPUTS_KEY: self._digest.hexdigest().encode()}
        schema = self._schema.with_metadata(metadata)
        self._writing = self._writer.submit(_write_part, path, schema, self._waiting)
        self._files.append(path)
        self.rows += len(self._waiting.ids)
        self._waiting = _Gathered()
        self._digest = hashlib.sha256()

    def settle(self) -> None:
        """Wait until the part that is being written lies on the disk."""
        if self._writing is not None:
            self._writing.result()

    def join(self, target: Path) -> None:
        """Write all parts into one file."""
        with replace_file(target) as draft, _writer(draft, self._schema) as writer:
            for path in self._files:
                with pq.ParquetFile(path) as part:
                    for batch in part.iter_batches(PART_ROWS):
                        writer.write_batch(batch.replace_schema_metadata(self._schema.metadata))

    def remove(self) -> None:
        """Remove the parts, once the whole file is there."""
        shutil.rmtree(self._folder)


def _add_input(digest: hashlib._Hash, ident: str, image: str | bytes | None) -> None:
    cell = image.encode() if isinstance(image, str) else image or b""
    name = ident.encode()
    digest.update(b"%d:%b%d:%b" % (len(name), name, len(cell), cell))


def _write_part(path: Path, schema: pa.Schema, rows: _Gathered) -> None:
    columns = {
        "id": pa.array(rows.ids, pa.string()),
        "embedding": _vectors(rows, 0, schema),
        "status": pa.array(["bad" if reason else "ok" for reason in rows.reasons], pa.string()),
        "reason": pa.array(rows.reasons, pa.string()),
        "content_hash": pa.array(rows.hashes, pa.string()),
    }
    if "trunk" in schema.names:
        columns["trunk"] = _vectors(rows, 1, schema)
    table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    with replace_file(path) as draft, _writer(draft, schema) as writer:
        writer.write_table(table)


def _vectors(rows: _Gathered, kind: int, schema: pa.Schema) -> pa.FixedSizeListArray:
    dim = schema.field(("embedding", "trunk")[kind]).type.list_size
    blank = np.zeros(dim, np.float32)
    values = np.concatenate([blank if pair is None else pair[kind] for pair in rows.vectors])
    bad = pa.array([pair is None for pair in rows.vectors])
    return pa.FixedSizeListArray.from_arrays(pa.array(values), dim, mask=bad)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Vectors neither repeat nor compress: trying to costs more than writing them.
    return pq.ParquetWriter(
        path,
        schema,
        use_dictionary=["status", "reason"],
        compression=dict.fromkeys(["id", "status", "reason", "content_hash"], "zstd"),
        write_statistics=["id"],
    )
