"""The rows that a job has done so far: files of whole parts, in a folder of the job's own.

``job.json`` says what the job is; each part holds some thousand rows and a digest of the ids and
image cells that they were made from, and its name a checksum of the part. A part of a version that
wrote none is read as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from rac.embedding.batch import EmbeddedBatch
from rac.embedding.own_files import NumberedFile, naming
from rac.embedding.stream import Rows
from rac.encoders.base import FloatArray
from rac.errors import InputError, JobFailed
from rac.home import make_private
from rac.progress import say
from rac.unfinished import DESCRIPTION, changed, goes_on
from retrieval_index.files import replace_file

_INPUTS_KEY = b"rac.inputs"
_KIND = "part"
#: What the folder of a job may hold; a draft is what a killed process leaves of any of them.
_OURS = re.compile(
    rf"{re.escape(DESCRIPTION)}|{_KIND}-\d{{12}}(\.[0-9a-f]{{16}})?\.parquet"
    rf"|\.({re.escape(DESCRIPTION)}|{_KIND}-.+\.parquet)\.\w+\.part"
)
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
        self._files: list[NumberedFile] = []
        self._inputs: list[tuple[int, str]] = []
        self._waiting = _Gathered()
        self._digest = hashlib.sha256()
        self._writing: Future[NumberedFile] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parts")
        self.rows = 0
        self.bad = 0

    @classmethod
    def open(cls, folder: Path, job: EmbeddingJob, schema: pa.Schema, *, restart: bool) -> Parts:
        """Begin a job, or find the parts of the same job's last run.

        A part that is damaged is said and removed; its rows and those behind it are done again.

        Raises:
            InputError: the folder holds another job, or something that no job has put there.
        """
        parts = cls(folder, schema)
        if restart:
            _remove(folder)
        _refuse_link(folder)
        make_private(folder)
        if goes_on(folder, job, holder=folder.parent, otherwise="take another folder"):
            parts._find()
        return parts

    def _find(self) -> None:
        for part in NumberedFile.find(self._folder, _KIND):
            fault = "it lies behind a gap"
            if part.first == self.rows:
                found = self._take(part)
                if found is None:
                    continue
                fault = found
            say(f"{part.path}: {fault}; its rows are embedded anew")
            part.path.unlink()

    def _take(self, part: NumberedFile) -> str | None:
        """Count a part's rows as done; or say what is wrong with it."""
        fault = part.damage()
        if fault is not None:
            return fault
        try:
            with pq.ParquetFile(part.path) as file:
                inputs = file.schema_arrow.metadata[_INPUTS_KEY].decode()
                status = file.read(columns=["status"])["status"].to_pylist()
        except PermissionError:
            raise
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
            return f"it cannot be read ({_first_line(error)})"
        self._files.append(part)
        self._inputs.append((len(status), inputs))
        self.rows += len(status)
        self.bad += status.count("bad")
        return None

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
        metadata = {**self._schema.metadata, _INPUTS_KEY: self._digest.hexdigest().encode()}
        schema = self._schema.with_metadata(metadata)
        self._writing = self._writer.submit(
            _write_part, self._folder, self.rows, schema, self._waiting
        )
        self.rows += len(self._waiting.ids)
        self._waiting = _Gathered()
        self._digest = hashlib.sha256()

    def settle(self) -> None:
        """Wait until the part that is being written lies on the disk."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self._files.append(writing.result())

    def join(self, target: Path) -> None:
        """Write all parts into one file.

        Raises:
            JobFailed: a part was damaged since it was written or found.
        """
        with (
            naming(target),
            replace_file(target) as draft,
            _writer(draft, self._schema) as writer,
        ):
            for part in self._files:
                for batch in _read_part(part):
                    writer.write_batch(batch.replace_schema_metadata(self._schema.metadata))

    def remove(self) -> None:
        """Remove the parts, once the whole file is there."""
        _remove(self._folder)


def _read_part(part: NumberedFile) -> Iterator[pa.RecordBatch]:
    fault = part.damage()
    try:
        if fault is None:
            with pq.ParquetFile(part.path) as file:
                yield from file.iter_batches(PART_ROWS)
    except pa.ArrowException as error:
        fault = f"it cannot be read ({_first_line(error)})"
    if fault is not None:
        raise JobFailed(
            f"{part.path}: {fault}; run it again to do its rows anew, or all with --restart"
        )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise InputError(f"{folder} is a link, and not a folder that a job has made; remove it")


def _remove(folder: Path) -> None:
    """Remove the folder of a job, if there is one, with what jobs put there.

    Raises:
        InputError: it is a link, or holds what no job has put there.
    """
    _refuse_link(folder)
    if not folder.exists():
        return
    found = sorted(folder.iterdir())
    for path in found:
        if not _OURS.fullmatch(path.name) or (path.is_dir() and not path.is_symlink()):
            raise InputError(f"{path} is not of a job that embeds; move it away, it would be lost")
    for path in found:
        path.unlink()
    folder.rmdir()


def _add_input(digest: hashlib._Hash, ident: str, image: str | bytes | None) -> None:
    cell = image.encode() if isinstance(image, str) else image or b""
    name = ident.encode()
    digest.update(b"%d:%b%d:%b" % (len(name), name, len(cell), cell))


def _write_part(folder: Path, first: int, schema: pa.Schema, rows: _Gathered) -> NumberedFile:
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
    content = pa.BufferOutputStream()
    with _writer(content, schema) as writer:
        writer.write_table(table)
    return NumberedFile.write(folder, _KIND, first, content.getvalue())


def _vectors(rows: _Gathered, kind: int, schema: pa.Schema) -> pa.FixedSizeListArray:
    dim = schema.field(("embedding", "trunk")[kind]).type.list_size
    blank = np.zeros(dim, np.float32)
    values = np.concatenate([blank if pair is None else pair[kind] for pair in rows.vectors])
    bad = pa.array([pair is None for pair in rows.vectors])
    return pa.FixedSizeListArray.from_arrays(pa.array(values), dim, mask=bad)


def _writer(where: Path | pa.BufferOutputStream, schema: pa.Schema) -> pq.ParquetWriter:
    # Vectors neither repeat nor compress: trying to costs more than writing them.
    return pq.ParquetWriter(
        where,
        schema,
        use_dictionary=["status", "reason"],
        compression=dict.fromkeys(["id", "status", "reason", "content_hash"], "zstd"),
        write_statistics=["id"],
    )
