"""A run's embeddings on disk, so that a changed schema is scored again without opening an image.

A folder with ``embedding.f32`` (N x D) and ``trunk.f32`` (N x T), both plain little-endian float32
by rows, ``rows-<first row>.parquet`` files (id, image, ok, reason, content_hash), and
``manifest.json``, which is rewritten after every stretch that has reached the disk. What lies
behind the manifest's rows is of a run that was killed, and is cut off when the next one goes on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from rac.embedding import EmbeddedBatch
from rac.embedding.bad import BadTally
from rac.embedding.stream import Rows
from rac.encoders.base import Encoder, FloatArray
from rac.tables import Item, Table
from retrieval_index.files import replace_file

_FLOAT = np.dtype("<f4")
_COMMIT_ROWS = 1024

BATCH_ROWS = 8192
"""Rows of a table read at a time where nothing else sets the size; a part of the ledger holds a
whole number of such batches."""

_ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string()),
        pa.field("ok", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("content_hash", pa.string()),
    ]
)


class StoreManifest(BaseModel):
    """What a store holds, and of what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    encoder: str
    encoder_identity: str
    embedding_dim: int
    trunk_dim: int
    rows: int
    bad: int = 0
    complete: bool = False
    items: str
    """SHA-256 over the rows' ids and images, as :class:`ItemsDigest` takes it."""


@dataclass(frozen=True)
class StoredEmbeddings:
    """The embeddings of a table's N rows.

    Attributes:
        embedding: (N, D) float32 unit norm, memory-mapped; zeros where not ``ok``.
        trunk: (N, T) float32, memory-mapped.
        ok: (N,) bool, whether the image could be read.
        ids: N ids, an Arrow string array.
        images: N image references; null where the table holds the image itself.
        bad: for the rows without a readable image: row number, image reference, reason.
        manifest: what the folder says of itself.
    """

    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    ids: pa.ChunkedArray
    images: pa.ChunkedArray
    bad: list[tuple[int, str | None, str]]
    manifest: StoreManifest

    @cached_property
    def faults(self) -> dict[int, str]:
        """The reasons of the bad images, by row number."""
        return {row: reason for row, _, reason in self.bad}


class ItemsDigest:
    """A digest of which images a table names: ids, and bytes or path, size and time of change."""

    def __init__(self, base: Path | None) -> None:
        self._prefix = "" if base is None else os.path.join(base, "")
        self._digest = hashlib.sha256()

    def add(self, items: Iterable[Item]) -> None:
        """Take in the next items, in the table's order."""
        # repr keeps the parts of a mark apart, whatever is in them.
        marks = [f"{item.id!r} {self._image_mark(item.image)!r}\n" for item in items]
        self._digest.update("".join(marks).encode("utf-8", "surrogatepass"))

    def hexdigest(self) -> str:
        """Give the digest of all items so far."""
        return self._digest.hexdigest()

    def _image_mark(self, image: str | bytes | None) -> tuple[str | int | None, ...]:
        if isinstance(image, bytes):
            return (hashlib.sha256(image).hexdigest(),)
        if image is None or "://" in image:
            return (image,)
        # Most paths are plain; asking the library of each costs as much as the file's state.
        odd = image.startswith(("/", "\\")) or ":" in image
        try:
            state = os.stat(image if odd and os.path.isabs(image) else self._prefix + image)
        except (OSError, ValueError):
            return (image, None)
        return (image, state.st_size, state.st_mtime_ns)


def ensure_store(
    folder: Path,
    table: Table,
    encoder: Encoder,
    embed: Callable[[Iterator[Rows]], Iterable[EmbeddedBatch]],
    *,
    batch_size: int,
    limit: int | None = None,
    max_bad: float | None = None,
    moved: Callable[[int], None] = lambda rows: None,
) -> tuple[StoredEmbeddings, int]:
    """Open the embeddings of a table's rows; what is not there yet is embedded and kept.

    Args:
        folder: where the store is, whole, unfinished or not at all.
        table: whose rows are wanted.
        encoder: whose embeddings are wanted; a store of another one is begun anew.
        embed: embeds batches of rows, in order.
        batch_size: rows in a batch.
        limit: only so many rows, from the start; None for all.
        max_bad: end the job when more than this share of the images is bad.
        moved: told how many rows are done, as they come.

    Returns:
        The store, and how many rows were embedded for it now.

    Raises:
        JobFailed: too many bad images.
    """
    done = _usable_part(folder, table, encoder, limit)
    if done is not None and done.complete:
        store = open_store(folder)
        tally = BadTally(max_bad, rows=done.rows - len(store.bad))
        tally.count(list(store.faults.values()))
        tally.close()
        return store, 0
    folder.mkdir(parents=True, exist_ok=True)
    writer = _StoreWriter(folder, table, encoder, done, limit)
    tally = BadTally(max_bad, rows=writer.rows, bad=writer.bad)
    moved(writer.rows)
    fresh = 0
    with writer:
        rows = (
            Rows(cells, table.items(cells, first))
            for first, cells in stretches(table, batch_size, start=writer.rows, limit=limit)
        )
        for batch in embed(rows):
            writer.write(batch)
            fresh += len(batch.items)
            moved(len(batch.items))
            tally.count(batch.reasons)
        writer.commit(complete=True)
    tally.close()
    return open_store(folder), fresh


def stretches(
    table: Table, size: int, *, start: int = 0, limit: int | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read a table's rows in batches that end at multiples of ``size``.

    Args:
        table: to read.
        size: most rows in a batch.
        start: skip so many rows.
        limit: end after this row; None for all.

    Yields:
        Number of the first row, and the batch.
    """
    first = 0
    for batch in table.batches(size if limit is None else min(size, max(1, limit))):
        place = max(0, start - first)
        end = batch.num_rows if limit is None else min(batch.num_rows, limit - first)
        while place < end:
            length = min(end - place, size - (first + place) % size)
            yield first + place, batch.slice(place, length)
            place += length
        first += batch.num_rows
        if limit is not None and first >= limit:
            return


class _StoreWriter:
    """Appends to a store; what was committed survives a killed process."""

    def __init__(
        self,
        folder: Path,
        table: Table,
        encoder: Encoder,
        done: StoreManifest | None,
        limit: int | None,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._digest = ItemsDigest(table.base)
        self.rows = 0 if done is None else done.rows
        self.bad = 0 if done is None else done.bad
        if done is None:
            (folder / "manifest.json").unlink(missing_ok=True)
        elif done.rows:
            for first, cells in stretches(table, _COMMIT_ROWS, limit=done.rows):
                self._digest.add(table.items(cells, first))
        for path in folder.glob("rows-*.parquet"):
            if int(path.stem.removeprefix("rows-")) >= self.rows:
                path.unlink()
        self._files = {
            name: open(folder / f"{name}.f32", "r+b" if self.rows else "wb")  # noqa: SIM115
            for name in ("embedding", "trunk")
        }
        for name, width in (("embedding", encoder.embedding_dim), ("trunk", encoder.trunk_dim)):
            self._files[name].truncate(self.rows * width * _FLOAT.itemsize)
            self._files[name].seek(0, os.SEEK_END)
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> _StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, batch: EmbeddedBatch) -> None:
        self._digest.add(batch.items)
        self._files["embedding"].write(batch.embedding.astype(_FLOAT, copy=False).tobytes())
        self._files["trunk"].write(batch.trunk.astype(_FLOAT, copy=False).tobytes())
        self._waiting.append(_row_batch(batch))
        self.bad += int((~batch.ok).sum())
        if sum(rows.num_rows for rows in self._waiting) >= _COMMIT_ROWS:
            self.commit()

    def commit(self, *, complete: bool = False) -> None:
        """Bring everything so far to the disk, then say so."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        if self._waiting:
            with replace_file(self._folder / f"rows-{self.rows:012d}.parquet") as draft:
                pq.write_table(pa.Table.from_batches(self._waiting, _ROWS), draft)
            self.rows += sum(rows.num_rows for rows in self._waiting)
            self._waiting = []
        manifest = StoreManifest(
            encoder=self._encoder.name,
            encoder_identity=self._encoder.identity,
            embedding_dim=self._encoder.embedding_dim,
            trunk_dim=self._encoder.trunk_dim,
            rows=self.rows,
            bad=self.bad,
            complete=complete,
            items=self._digest.hexdigest(),
        )
        with replace_file(self._folder / "manifest.json") as draft:
            draft.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def open_store(folder: Path) -> StoredEmbeddings:
    """Open a complete store.

    Raises:
        FileNotFoundError, ValueError: there is none, or its files do not fit its manifest.
    """
    manifest = StoreManifest.model_validate_json((folder / "manifest.json").read_text("utf-8"))
    parts = [
        pq.read_table(path, schema=_ROWS)
        for path in sorted(folder.glob("rows-*.parquet"))
        if int(path.stem.removeprefix("rows-")) < manifest.rows
    ]
    rows = pa.concat_tables([_ROWS.empty_table(), *parts])
    if rows.num_rows != manifest.rows:
        raise ValueError(f"{folder}: {rows.num_rows} rows, not the manifest's {manifest.rows}")
    ok = rows.column("ok").to_numpy().astype(np.bool_)
    faults = rows.filter(pa.array(~ok)).select(["image", "reason"]).to_pylist()
    return StoredEmbeddings(
        embedding=_map(folder / "embedding.f32", manifest.rows, manifest.embedding_dim),
        trunk=_map(folder / "trunk.f32", manifest.rows, manifest.trunk_dim),
        ok=ok,
        ids=rows.column("id"),
        images=rows.column("image"),
        bad=[
            (row, fault["image"], fault["reason"] or "unreadable: no reason was kept")
            for row, fault in zip(np.flatnonzero(~ok).tolist(), faults, strict=True)
        ],
        manifest=manifest,
    )


def _usable_part(
    folder: Path, table: Table, encoder: Encoder, limit: int | None
) -> StoreManifest | None:
    """Give the manifest of a store that holds the table's first rows by this encoder, or None.

    A complete store of fewer or more rows than are wanted now is one of another table.
    """
    try:
        store = open_store(folder)
    except (OSError, ValueError, ValidationError, pa.ArrowException):
        return None
    done = store.manifest
    if done.encoder_identity != encoder.identity:
        return None
    digest, rows, more = ItemsDigest(table.base), 0, False
    for first, cells in stretches(table, _COMMIT_ROWS, limit=limit):
        if first >= done.rows:
            more = True
            break
        kept = cells.slice(0, done.rows - first)
        digest.add(table.items(kept, first))
        rows += kept.num_rows
        more = kept.num_rows < cells.num_rows
    if rows != done.rows or digest.hexdigest() != done.items:
        return None
    return done.model_copy(update={"complete": not more})


def _row_batch(batch: EmbeddedBatch) -> pa.RecordBatch:
    images = [
        item.image if isinstance(item.image, str) and not item.image.startswith("data:") else None
        for item in batch.items
    ]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([item.id for item in batch.items], pa.string()),
            pa.array(images, pa.string()),
            pa.array(batch.ok),
            pa.array(batch.reasons, pa.string()),
            pa.array(batch.hashes, pa.string()),
        ],
        schema=_ROWS,
    )


def _map(path: Path, rows: int, columns: int) -> FloatArray:
    if path.stat().st_size < rows * columns * _FLOAT.itemsize:
        raise ValueError(f"{path}: it is too short for {rows} rows of {columns} numbers")
    if rows * columns == 0:
        return np.zeros((rows, columns), np.float32)
    return np.memmap(path, _FLOAT, "r", shape=(rows, columns))
