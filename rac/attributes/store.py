"""A run's embeddings on disk, so that a changed schema is scored again without opening an image.

Their files are those of :mod:`rac.attributes.store_files`. The manifest is rewritten after every
stretch that has reached the disk. What lies behind the manifest's rows is of a run that was killed,
and is cut off when the next one goes on. What is damaged is found before it is used, said, and
embedded anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.attributes.store_files import (
    MANIFEST,
    ROWS,
    DamagedStore,
    Gap,
    StoreFiles,
    StoreManifest,
    check_stretches,
    map_numbers,
    read_manifest,
    read_rows,
    write_manifest,
)
from rac.embedding import EmbeddedBatch
from rac.embedding.bad import BadTally
from rac.embedding.stream import Rows
from rac.encoders.base import Encoder, FloatArray
from rac.errors import InputError, JobFailed
from rac.home import make_private
from rac.images import ImageLimits
from rac.progress import say
from rac.tables import Item, Table

_COMMIT_ROWS = 1024

BATCH_ROWS = 8192
"""Rows of a table read at a time where nothing else sets the size; a part of the ledger holds a
whole number of such batches."""

Embed = Callable[[Iterator[Rows]], Iterable[EmbeddedBatch]]
"""Embeds batches of rows, in order."""


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
    """A digest of which images a table names: ids, and bytes or path, size and time of change.

    Where they may come from, and what they may be, belongs to it: an image that was refused is
    looked at again once its folder is allowed.
    """

    def __init__(self, base: Path | None, limits: ImageLimits | None = None) -> None:
        self._prefix = "" if base is None else os.path.join(base, "")
        self._digest = hashlib.sha256()
        # Digests of before knew of no limits.
        if limits is not None and limits.judging() != ImageLimits().judging():
            self._digest.update(f"{limits.judging()!r}\n".encode("utf-8", "surrogatepass"))

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
    embed: Embed,
    *,
    batch_size: int,
    limits: ImageLimits | None = None,
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
        limits: bounds on the images that ``embed`` goes by; a store of others is begun anew.
        limit: only so many rows, from the start; None for all.
        max_bad: end the job when more than this share of the images is bad.
        moved: told how many rows are done, as they come.

    Returns:
        The store, and how many rows were embedded for it now.

    Raises:
        InputError: there is a link in the place of the folder.
        JobFailed: too many bad images, or the table or the store changed while the job ran.
    """
    if folder.is_symlink():
        raise InputError(f"{folder} is a link, and not a folder that a run has made; remove it")
    done = _usable_part(folder, table, encoder, limits, limit)
    make_private(folder)
    fresh = 0
    if done is not None:
        done, fresh = _mend(folder, table, encoder, embed, done, batch_size)
    if done is not None and done.complete:
        store = _open(folder)
        tally = BadTally(max_bad, rows=done.rows - len(store.bad))
        tally.count(list(store.faults.values()))
        tally.close()
        return store, fresh
    writer = _StoreWriter(folder, table, encoder, done, limits)
    tally = BadTally(max_bad, rows=writer.rows, bad=writer.bad)
    moved(writer.rows)
    with writer:
        rows = _read_batches(table, batch_size, start=writer.rows, limit=limit)
        for batch in embed(rows):
            writer.write(batch)
            fresh += len(batch.items)
            moved(len(batch.items))
            tally.count(batch.reasons)
        writer.commit(complete=True)
    tally.close()
    return _open(folder), fresh


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


def _read_batches(
    table: Table, size: int, *, start: int = 0, limit: int | None = None
) -> Iterator[Rows]:
    for first, cells in stretches(table, size, start=start, limit=limit):
        yield Rows(cells, table.items(cells, first))


class _StoreWriter:
    """Appends to a store; what was committed survives a killed process."""

    def __init__(
        self,
        folder: Path,
        table: Table,
        encoder: Encoder,
        done: StoreManifest | None,
        limits: ImageLimits | None,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._digest = ItemsDigest(table.base, limits)
        self.rows = 0 if done is None else done.rows
        self.bad = 0 if done is None else done.bad
        if done is None:
            (folder / MANIFEST).unlink(missing_ok=True)
        elif done.rows:
            for first, cells in stretches(table, _COMMIT_ROWS, limit=done.rows):
                self._digest.add(table.items(cells, first))
        self._files = StoreFiles(folder, _sizes(encoder), rows=self.rows)
        self._waiting: list[EmbeddedBatch] = []

    def __enter__(self) -> _StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def write(self, batch: EmbeddedBatch) -> None:
        self._digest.add(batch.items)
        self._waiting.append(batch)
        self.bad += int((~batch.ok).sum())
        if sum(len(waiting.items) for waiting in self._waiting) >= _COMMIT_ROWS:
            self.commit()

    def commit(self, *, complete: bool = False) -> None:
        """Bring everything so far to the disk, then say so."""
        if self._waiting:
            self.rows += _write_stretch(self._files, self.rows, self._waiting)
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
        write_manifest(self._folder, manifest)


def open_store(folder: Path) -> StoredEmbeddings:
    """Open a complete store whose files are what was written.

    Raises:
        FileNotFoundError: there is none.
        DamagedStore: they are not.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise FileNotFoundError(f"{folder}: no embeddings are kept here")
    for gap in check_stretches(folder, manifest).gaps:
        raise DamagedStore(gap.fault)
    return _stored(folder, manifest)


def _open(folder: Path) -> StoredEmbeddings:
    """Open a store that was written or checked just now."""
    try:
        manifest = read_manifest(folder)
        if manifest is not None:
            return _stored(folder, manifest)
        fault = f"{folder / MANIFEST} is gone"
    except DamagedStore as error:
        fault = str(error)
    raise JobFailed(f"{fault}: somebody changed it while the job ran; run it again")


def _stored(folder: Path, manifest: StoreManifest) -> StoredEmbeddings:
    rows = read_rows(folder, manifest)
    embedding, trunk = map_numbers(folder, manifest)
    ok = rows.column("ok").to_numpy().astype(np.bool_)
    faults = rows.filter(pa.array(~ok)).select(["image", "reason"]).to_pylist()
    return StoredEmbeddings(
        embedding=embedding,
        trunk=trunk,
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
    folder: Path,
    table: Table,
    encoder: Encoder,
    limits: ImageLimits | None,
    limit: int | None,
) -> StoreManifest | None:
    """Give the manifest of a store that holds the table's first rows by this encoder, or None.

    A complete store of fewer or more rows than are wanted now is one of another table.
    """
    try:
        done = read_manifest(folder)
    except DamagedStore as error:
        say(f"{error}; all rows are embedded anew")
        return None
    if done is None or done.encoder_identity != encoder.identity:
        return None
    if (done.embedding_dim, done.trunk_dim) != _sizes(encoder):
        return None
    digest, rows, more = ItemsDigest(table.base, limits), 0, False
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


def _mend(
    folder: Path,
    table: Table,
    encoder: Encoder,
    embed: Embed,
    done: StoreManifest,
    batch_size: int,
) -> tuple[StoreManifest, int]:
    """Embed those rows of a store anew that are not what was written.

    Returns:
        The manifest, and how many rows were embedded.

    Raises:
        JobFailed: the table changed while the job ran.
    """
    checked = check_stretches(folder, done)
    for path in checked.useless:
        path.unlink()
    if not checked.gaps:
        return done, 0
    count = sum(gap.count for gap in checked.gaps)
    say(f"{checked.gaps[0].fault}; {count:,} of {done.rows:,} stored rows are embedded anew")
    with StoreFiles(folder, _sizes(encoder), rows=done.rows) as files:
        for gap in checked.gaps:
            _fill_gap(files, gap, table, embed, batch_size)
    bad = int(np.sum(~read_rows(folder, done).column("ok").to_numpy()))
    mended = done.model_copy(update={"bad": bad})
    write_manifest(folder, mended)
    return mended, count


def _fill_gap(files: StoreFiles, gap: Gap, table: Table, embed: Embed, batch_size: int) -> None:
    end = gap.first + gap.count
    place, waiting = gap.first, list[EmbeddedBatch]()
    for batch in embed(_read_batches(table, batch_size, start=gap.first, limit=end)):
        waiting.append(batch)
        if sum(len(one.items) for one in waiting) >= _COMMIT_ROWS:
            place += _write_stretch(files, place, waiting)
            waiting = []
    if waiting:
        place += _write_stretch(files, place, waiting)
    if place != end:
        raise JobFailed(f"{table.source}: the table changed while the job ran; run it again")


def _write_stretch(files: StoreFiles, first: int, batches: list[EmbeddedBatch]) -> int:
    """Write consecutive batches as one stretch; give how many rows they are."""
    rows = pa.Table.from_batches([_row_batch(batch) for batch in batches], ROWS)
    embedding = np.concatenate([batch.embedding for batch in batches])
    files.write(first, embedding, np.concatenate([batch.trunk for batch in batches]), rows)
    return int(rows.num_rows)


def _sizes(encoder: Encoder) -> tuple[int, int]:
    return encoder.embedding_dim, encoder.trunk_dim


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
        schema=ROWS,
    )
