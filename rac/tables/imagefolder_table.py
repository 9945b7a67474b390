"""A folder of images as a table: the subfolder is the label, ``metadata.csv`` adds columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from rac.errors import InputError
from rac.tables.columns import Columns
from rac.tables.csv_table import CsvTable, write_csv
from rac.tables.jsonl_table import JsonlTable
from rac.tables.table import Table

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
     ".jpx", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)  # fmt: skip
_METADATA = ("metadata.csv", "metadata.jsonl")
_FILE_NAME = "file_name"


class ImageFolderTable(Table):
    """All images below a folder, in the order of their paths.

    Columns are ``image`` (path from the folder) and, where images lie in subfolders, ``label``
    (the folder an image lies in). With a ``metadata.csv`` or ``metadata.jsonl`` at the top, as
    Hugging Face's ImageFolder reads it, the rows and columns are the file's, ``file_name`` is
    the image, there is no label from folders, and images that it does not name follow at the end.

    Hidden files and folders are passed over, links to folders are followed once. A link that
    leads nowhere is a row, so that its image is reported and not forgotten.
    """

    suffix = ".csv"

    def __init__(self, source: str, folder: Path, asked: Mapping[str, str | None]) -> None:
        self._folder = folder
        self._metadata: Table | None = None
        for name in _METADATA:
            if (folder / name).is_file():
                self._metadata = _open_metadata(folder / name)
                break
        if self._metadata is not None:
            schema = self._metadata.schema
            preferred = Columns(image=_FILE_NAME)
        else:
            preferred = Columns(image="image", label=None)
            fields = [pa.field("image", pa.string())]
            first = next(self._paths(), None)
            if first is None:
                raise InputError(
                    f"{source}: no images in {folder} (looked for "
                    f"{', '.join(sorted(IMAGE_SUFFIXES))})"
                )
            if any("/" in path for path in self._paths()):
                fields.append(pa.field("label", pa.string()))
            schema = pa.schema(fields)
        super().__init__(source, schema, folder, asked, preferred)

    def _paths(self) -> Iterator[str]:
        return _walk(str(self._folder), "", frozenset())

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        if self._metadata is None:
            yield from self._batches_of(self._paths(), size)
            return
        named: set[str] = set()
        for batch in self._metadata._read(size):
            named.update(
                os.path.normpath(name)
                for name in self._metadata.strings(batch, _FILE_NAME)
                if name is not None
            )
            yield batch
        rest = (path for path in self._paths() if os.path.normpath(path) not in named)
        yield from self._batches_of(rest, size)

    def _batches_of(self, paths: Iterator[str], size: int) -> Iterator[pa.RecordBatch]:
        waiting: list[str] = []
        for path in paths:
            waiting.append(path)
            if len(waiting) >= size:
                yield self._batch(waiting)
                waiting = []
        if waiting:
            yield self._batch(waiting)

    def _batch(self, paths: list[str]) -> pa.RecordBatch:
        image = _FILE_NAME if self._metadata is not None else "image"
        arrays = []
        for field in self.schema:
            if field.name == image:
                arrays.append(pa.array(paths, field.type))
            elif self._metadata is None:
                labels = [os.path.basename(os.path.dirname(path)) or None for path in paths]
                arrays.append(pa.array(labels, field.type))
            else:
                arrays.append(pa.nulls(len(paths), field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        write_csv(path, schema, batches)


def _open_metadata(path: Path) -> Table:
    nothing: dict[str, str | None] = {}
    kind = CsvTable if path.suffix == ".csv" else JsonlTable
    table = kind(str(path), path, nothing)
    if _FILE_NAME not in table.columns:
        raise InputError(
            f"{path}: the column {_FILE_NAME!r} is needed; the columns are: "
            + ", ".join(map(repr, table.columns))
        )
    return table


def _walk(folder: str, inside: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield image paths relative to the top, sorted within each folder."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        name = f"{inside}{entry.name}"
        if _is_folder(entry):
            yield from _walk(entry.path, f"{name}/", above | {here})
        elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
            # A name that is not UTF-8 cannot be a cell; shown with escapes it will be reported
            # as missing.
            yield name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False
