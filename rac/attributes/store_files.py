"""The files of a run's embeddings: stretches of rows with checksums, and a manifest with its own.

``embedding.f32`` (N x D) and ``trunk.f32`` (N x T) are plain little-endian float32 by rows. Of each
stretch of rows, ``rows-<first row>.<checksum>.parquet`` has id, image, ok, reason and content_hash,
and in its schema's metadata the checksums of the stretch's two pieces of numbers; its name has that
of the file itself. ``manifest.json`` says what the whole is. A store of a version that wrote no
checksums is read as it is.
"""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from rac.cores import usable_cores
from rac.embedding.own_files import NumberedFile, checksum, checksum_at, naming, open_own
from rac.encoders.base import FloatArray
from retrieval_index.files import replace_file

MANIFEST = "manifest.json"

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string()),
        pa.field("ok", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("content_hash", pa.string()),
    ]
)
"""What is kept of a row beside its numbers."""

_FLOAT = np.dtype("<f4")
_NUMBERS = ("embedding", "trunk")
_KIND = "rows"
_CHECKSUMS_KEY = b"rac.checksums"
#: What a process leaves that was killed while it wrote one of our files.
_DRAFT = re.compile(rf"\.({_KIND}-.+\.parquet|{re.escape(MANIFEST)})\.\w+\.part")


class DamagedStore(ValueError):
    """A file of a store is not what was written; the message names it."""


class StoreManifest(BaseModel):
    """What a store holds, and of what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1, 2] = 2
    encoder: str
    encoder_identity: str
    embedding_dim: int
    trunk_dim: int
    rows: int
    bad: int = 0
    complete: bool = False
    items: str
    """SHA-256 over the rows' ids and images, as ``ItemsDigest`` of the store takes it."""
    checksum: str | None = None
    """Of all the rest; None in version 1, and as long as the manifest is not written."""

    def sealed(self) -> StoreManifest:
        """Give the same with its checksum."""
        rest = self.model_dump_json(exclude={"checksum"})
        return self.model_copy(update={"checksum": checksum(rest.encode())})


def read_manifest(folder: Path) -> StoreManifest | None:
    """Read a store's manifest; None where there is none.

    Raises:
        DamagedStore: it is not what was written.
    """
    path = folder / MANIFEST
    try:
        manifest = StoreManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except (OSError, ValidationError) as error:
        raise DamagedStore(f"{path}: it is no manifest of embeddings") from error
    if manifest.version > 1 and manifest != manifest.sealed():
        raise DamagedStore(f"{path}: it does not hold what was written")
    return manifest


def write_manifest(folder: Path, manifest: StoreManifest) -> None:
    """Write a store's manifest with its checksum, whole or not at all."""
    text = manifest.sealed().model_dump_json(indent=2) + "\n"
    with naming(folder / MANIFEST), replace_file(folder / MANIFEST) as draft:
        draft.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Gap:
    """Rows that a store should hold, and does not, or not as they were written.

    Attributes:
        first: number of the first of them.
        count: how many.
        fault: what is wrong, and with which file.
    """

    first: int
    count: int
    fault: str


class StoreFiles:
    """The stretches of a store, to be added to; close it, or use it as a context manager."""

    def __init__(self, folder: Path, sizes: tuple[int, int], *, rows: int) -> None:
        """Open the files for writing, and cut off what lies behind the rows that count.

        Args:
            folder: of the store.
            sizes: (D, T).
            rows: that count; 0 to begin anew.

        Raises:
            OSError: they may not be written.
        """
        self._folder = folder
        self._sizes = dict(zip(_NUMBERS, sizes, strict=True))
        for file in NumberedFile.find(folder, _KIND):
            if file.first >= rows:
                file.path.unlink()
        for path in folder.iterdir():
            if _DRAFT.fullmatch(path.name) and not path.is_dir():
                path.unlink()
        self._open: dict[str, int] = {}
        try:
            for name, size in self._sizes.items():
                path = folder / f"{name}.f32"
                if path.is_symlink() or (rows == 0 and path.is_file()):
                    # A link is never written through; a file that somebody has mapped is not cut.
                    path.unlink()
                self._open[name] = open_own(path, os.O_RDWR | os.O_CREAT)
                with naming(path):
                    os.ftruncate(self._open[name], rows * size * _FLOAT.itemsize)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> StoreFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def write(self, first: int, embedding: FloatArray, trunk: FloatArray, rows: pa.Table) -> None:
        """Bring a stretch of n rows to the disk.

        Until its file of rows is there, the stretch does not count.

        Args:
            first: number of its first row.
            embedding: (n, D).
            trunk: (n, T).
            rows: n rows of :data:`ROWS`.
        """
        checksums = {}
        for name, numbers in zip(_NUMBERS, (embedding, trunk), strict=True):
            content = np.ascontiguousarray(numbers, _FLOAT).tobytes()
            checksums[name] = checksum(content)
            with naming(self._folder / f"{name}.f32"):
                place = first * self._sizes[name] * _FLOAT.itemsize
                _write_all(self._open[name], content, place)
                os.fsync(self._open[name])
        sink = pa.BufferOutputStream()
        noted = {_CHECKSUMS_KEY: json.dumps(checksums).encode()}
        pq.write_table(rows.replace_schema_metadata(noted), sink)
        NumberedFile.write(self._folder, _KIND, first, sink.getvalue())


@dataclass(frozen=True)
class Checked:
    """What became of a store's stretches.

    Attributes:
        gaps: the rows that are damaged or missing, in order.
        useless: files of stretches that are damaged, or in the way of others.
    """

    gaps: list[Gap]
    useless: list[Path]


def check_stretches(folder: Path, manifest: StoreManifest) -> Checked:
    """Check every stretch of a store against its checksums; those of version 1 as far as can be.

    Raises:
        PermissionError: a file may not be read.
    """
    files = _files(folder, manifest)
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="check") as pool:
        checked = list(pool.map(lambda file: _check(folder, manifest, file), files))
    gaps, useless = list[Gap](), list[Path]()
    place, fault = 0, f"{folder}: a file of rows is missing"
    for file, found in zip(files, checked, strict=True):
        if isinstance(found, DamagedStore):
            fault = str(found)
            useless.append(file.path)
        elif file.first < place:
            useless.append(file.path)
        else:
            if file.first > place:
                gaps.append(Gap(place, file.first - place, fault))
            place = file.first + found
    if place < manifest.rows:
        gaps.append(Gap(place, manifest.rows - place, fault))
    return Checked(gaps, useless)


def read_rows(folder: Path, manifest: StoreManifest) -> pa.Table:
    """Read all rows of a store without gaps: N of :data:`ROWS`.

    Raises:
        DamagedStore: a file is not what was written, or missing.
    """
    parts = [_read(file)[0] for file in _files(folder, manifest)]
    rows = pa.concat_tables([ROWS.empty_table(), *parts])
    if rows.num_rows != manifest.rows:
        raise DamagedStore(
            f"{folder}: {rows.num_rows} rows, not the {manifest.rows} of its manifest"
        )
    return rows


def map_numbers(folder: Path, manifest: StoreManifest) -> tuple[FloatArray, FloatArray]:
    """Map a store's (N, D) embeddings and (N, T) trunk features.

    Raises:
        DamagedStore: a file is too short, or a link.
    """
    sizes = (manifest.embedding_dim, manifest.trunk_dim)
    embedding, trunk = (
        _map(folder / f"{name}.f32", manifest.rows, size)
        for name, size in zip(_NUMBERS, sizes, strict=True)
    )
    return embedding, trunk


def _files(folder: Path, manifest: StoreManifest) -> list[NumberedFile]:
    return [file for file in NumberedFile.find(folder, _KIND) if file.first < manifest.rows]


def _check(folder: Path, manifest: StoreManifest, file: NumberedFile) -> int | DamagedStore:
    """Give the number of a stretch's rows, or what is wrong with it."""
    try:
        rows, checksums = _read(file)
        if file.first + len(rows) > manifest.rows:
            raise DamagedStore(f"{file.path}: it holds rows that the manifest does not know of")
        sizes = (manifest.embedding_dim, manifest.trunk_dim)
        for name, size in zip(_NUMBERS, sizes, strict=True):
            path, step = folder / f"{name}.f32", size * _FLOAT.itemsize
            found = checksum_at(path, file.first * step, len(rows) * step)
            if found is None or (checksums and found != checksums.get(name)):
                raise DamagedStore(
                    f"{path}: rows {file.first + 1:,} to {file.first + len(rows):,} are not what "
                    "was written"
                )
    except DamagedStore as fault:
        return fault
    return len(rows)


def _read(file: NumberedFile) -> tuple[pa.Table, dict[str, str]]:
    """Read the rows of a stretch, and the checksums of its numbers; none in version 1.

    Raises:
        DamagedStore: it is not what was written.
    """
    fault = file.damage()
    if fault is not None:
        raise DamagedStore(f"{file.path}: {fault}")
    try:
        table = pq.ParquetFile(file.path).read()
        noted = (table.schema.metadata or {}).get(_CHECKSUMS_KEY, b"{}")
        return table.select(ROWS.names).cast(ROWS), dict(json.loads(noted))
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise DamagedStore(f"{file.path}: it cannot be read") from error


def _write_all(descriptor: int, content: bytes, place: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, place)
        rest, place = rest[written:], place + written


def _map(path: Path, rows: int, columns: int) -> FloatArray:
    if rows * columns == 0:
        return np.zeros((rows, columns), np.float32)
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as handle:
            return np.memmap(handle, _FLOAT, "r", shape=(rows, columns))
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        raise DamagedStore(f"{path}: it does not hold {rows} rows of {columns} numbers") from error
