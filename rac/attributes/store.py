"""A run's embeddings on disk, so that a changed schema is scored again without opening an image.

A folder with ``manifest.json``, ``embedding.f32`` (N x D) and ``trunk.f32`` (N x T), both plain
little-endian float32 by rows, and ``rows.parquet`` (id, image, ok, reason, content_hash). It is
built beside its place and renamed when complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from rac.embedding import EmbeddedBatch
from rac.encoders.base import Encoder, FloatArray
from rac.tables import Item, Table
from retrieval_index.files import replace_file, sync_file, sync_folder

_FLOAT = np.dtype("<f4")
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
    items: str
    """SHA-256 over ids and images, as :class:`ItemsDigest` takes it."""


@dataclass(frozen=True)
class StoredEmbeddings:
    """The embeddings of a table's N rows.

    Attributes:
        embedding: (N, D) float32 unit norm, memory-mapped; zeros where not ``ok``.
        trunk: (N, T) float32, memory-mapped.
        ok: (N,) bool, whether the image could be read.
        ids: N ids, an Arrow string array.
        bad: for the rows without a readable image: row number, image reference, reason.
        manifest: what the folder says of itself.
    """

    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    ids: pa.ChunkedArray
    bad: list[tuple[int, str | None, str]]
    manifest: StoreManifest


class ItemsDigest:
    """A digest of which images a table names: ids, and bytes or path, size and time of change."""

    def __init__(self, base: Path | None) -> None:
        self._base = base
        self._digest = hashlib.sha256()

    def add(self, items: Iterable[Item]) -> None:
        """Take in the next items, in the table's order."""
        for item in items:
            mark = json.dumps([item.id, *self._image_mark(item.image)])
            self._digest.update(mark.encode() + b"\n")

    def hexdigest(self) -> str:
        """Give the digest of all items so far."""
        return self._digest.hexdigest()

    def _image_mark(self, image: str | bytes | None) -> list[str | int | None]:
        if isinstance(image, bytes):
            return [hashlib.sha256(image).hexdigest()]
        if image is None or "://" in image:
            return [image]
        try:
            state = os.stat((self._base or Path()) / image)
        except (OSError, ValueError):
            return [image, None]
        return [image, state.st_size, state.st_mtime_ns]


def write_store(
    folder: Path, table: Table, encoder: Encoder, batches: Iterable[EmbeddedBatch]
) -> StoredEmbeddings:
    """Write the embeddings of a table as they come, whole or not at all, and open them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    digest = ItemsDigest(table.base)
    rows = 0
    try:
        with (
            open(draft / "embedding.f32", "wb") as embedding,
            open(draft / "trunk.f32", "wb") as trunk,
            pq.ParquetWriter(draft / "rows.parquet", _ROWS) as writer,
        ):
            for batch in batches:
                digest.add(batch.items)
                embedding.write(batch.embedding.astype(_FLOAT, copy=False).tobytes())
                trunk.write(batch.trunk.astype(_FLOAT, copy=False).tobytes())
                writer.write_batch(_row_batch(batch))
                rows += len(batch.items)
        manifest = StoreManifest(
            encoder=encoder.name,
            encoder_identity=encoder.identity,
            embedding_dim=encoder.embedding_dim,
            trunk_dim=encoder.trunk_dim,
            rows=rows,
            items=digest.hexdigest(),
        )
        with replace_file(draft / "manifest.json") as path:
            path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for name in ("embedding.f32", "trunk.f32", "rows.parquet"):
            sync_file(draft / name)
        draft.chmod(folder.parent.stat().st_mode)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return open_store(folder)


def open_store(folder: Path) -> StoredEmbeddings:
    """Open a complete store.

    Raises:
        FileNotFoundError, ValueError: there is none, or its files do not fit its manifest.
    """
    manifest = StoreManifest.model_validate_json((folder / "manifest.json").read_text("utf-8"))
    rows = pq.read_table(folder / "rows.parquet", schema=_ROWS)
    if rows.num_rows != manifest.rows:
        raise ValueError(f"{folder}: {rows.num_rows} rows, not the manifest's {manifest.rows}")
    ok = rows.column("ok").to_numpy().astype(np.bool_)
    faults = rows.filter(pa.array(~ok)).select(["image", "reason"]).to_pylist()
    return StoredEmbeddings(
        embedding=_map(folder / "embedding.f32", manifest.rows, manifest.embedding_dim),
        trunk=_map(folder / "trunk.f32", manifest.rows, manifest.trunk_dim),
        ok=ok,
        ids=rows.column("id"),
        bad=[
            (row, fault["image"], fault["reason"] or "unreadable: no reason was kept")
            for row, fault in zip(np.flatnonzero(~ok).tolist(), faults, strict=True)
        ],
        manifest=manifest,
    )


def reusable_store(folder: Path, encoder: Encoder, items: str) -> StoredEmbeddings | None:
    """Give the store if it holds just these items by just this encoder, else None.

    Args:
        folder: where a store may be.
        encoder: whose embeddings are wanted.
        items: digest of the table's items, by :class:`ItemsDigest`.
    """
    try:
        store = open_store(folder)
    except (OSError, ValueError, ValidationError, pa.ArrowException):
        return None
    fits = store.manifest.encoder_identity == encoder.identity and store.manifest.items == items
    return store if fits else None


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


def _publish(draft: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old.{os.getpid()}")
        folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(folder)
    sync_folder(folder.parent)


def _map(path: Path, rows: int, columns: int) -> FloatArray:
    if path.stat().st_size != rows * columns * _FLOAT.itemsize:
        raise ValueError(f"{path}: its size does not fit {rows} rows of {columns} numbers")
    if rows * columns == 0:
        return np.zeros((rows, columns), np.float32)
    return np.memmap(path, _FLOAT, "r", shape=(rows, columns))
