"""Data sets of the Hugging Face library: saved folders, and the hub as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.errors import InputError, JobFailed
from rac.tables.folders import replace_folder
from rac.tables.parquet_table import write_parquet
from rac.tables.table import Table

_BATCH_BYTES = 64 * 1024 * 1024
_ROWS_WITH_IMAGES = 128
_DAMAGED = (ValueError, KeyError, TypeError, RecursionError)
"""What reading a JSON file raises that is no JSON, or not what it should be."""


class SavedDatasetTable(Table):
    """A folder that ``datasets`` wrote with ``save_to_disk``; it stays on the disk, memory-mapped.

    Args:
        source: what the user called the table.
        folder: the folder.
        split: which split of a folder with several; None where there is one.
        asked: columns asked for by role.
    """

    suffix = ""

    def __init__(
        self, source: str, folder: Path, split: str | None, asked: Mapping[str, str | None]
    ) -> None:
        from datasets import load_from_disk

        folder = _split_folder(source, folder, split)
        _refuse_files_elsewhere(folder)
        try:
            self._data = load_from_disk(str(folder))
        except Exception as error:  # datasets raises many kinds for a broken folder
            raise InputError(f"{folder}: not a readable data set folder: {error}") from error
        super().__init__(source, self._data.features.arrow_schema, folder, asked)

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Say whether a folder was written by ``save_to_disk``."""
        return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()

    def num_rows(self) -> int:
        """Give the number of rows."""
        return int(self._data.num_rows)

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        yield from dataset_batches(self._data, self.schema, size)

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        from datasets import Dataset, Features
        from datasets.arrow_writer import ArrowWriter

        known = dict(self._data.features)
        fresh = Features.from_arrow_schema(schema.remove_metadata())
        features = Features({name: known.get(name, fresh[name]) for name in schema.names})
        stream = path.with_name(f"{path.name}.arrow")
        try:
            with ArrowWriter(path=str(stream), features=features) as writer:
                for batch in batches:
                    writer.write_table(pa.Table.from_batches([batch], schema))
                writer.finalize()
            data = Dataset.from_file(str(stream))
            data.save_to_disk(str(path))
        finally:
            stream.unlink(missing_ok=True)


class HubTable(Table):
    """A data set of the hub, read as a stream and not downloaded as a whole.

    Args:
        source: what the user called the table.
        name: the repository, ``ORG/NAME``.
        config: the configuration, None for the only or default one.
        split: None where there is one split.
        asked: columns asked for by role.
    """

    suffix = ".parquet"

    def __init__(
        self,
        source: str,
        name: str,
        config: str | None,
        split: str | None,
        asked: Mapping[str, str | None],
    ) -> None:
        import datasets

        def ask(question: Any, **more: Any) -> Any:
            try:
                return question(name, config, **more)
            except (ConnectionError, TimeoutError) as error:
                raise JobFailed(f"{source}: the hub cannot be reached: {error}") from error
            except (ValueError, FileNotFoundError) as error:
                # DatasetNotFoundError is a FileNotFoundError; unknown configurations and splits
                # are ValueErrors that list the known ones
                raise InputError(f"{source}: {error}") from error

        splits = ask(datasets.get_dataset_split_names)
        if split is None and len(splits) == 1:
            split = splits[0]
        if split not in splits:
            raise InputError(_which_split(source, split, splits))
        self._data = ask(datasets.load_dataset, split=split, streaming=True)
        if self._data.features is None:
            self._data = self._data._resolve_features()
        super().__init__(source, self._data.features.arrow_schema, None, asked)
        self._has_images = any(
            type(kind).__name__ == "Image" for kind in self._data.features.values()
        )
        found = (self._data.info.splits or {}).get(split)
        self._rows = found.num_examples if found is not None else None

    def num_rows(self) -> int | None:
        """Give the number of rows that the hub announces; None where it announces none."""
        return self._rows

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        rows = min(size, _ROWS_WITH_IMAGES) if self._has_images else size
        try:
            for table in self._data.with_format("arrow").iter(batch_size=rows):
                yield from _one_batch(table, self.schema)
        except OSError as error:
            raise JobFailed(f"{self.source}: the hub stopped answering: {error}") from error

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        write_parquet(path, schema, batches)


def dataset_batches(data: Any, schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    """Read a ``datasets.Dataset`` in batches of at most ``size`` rows, fewer where they are large.

    Args:
        data: the data set; images stay as they are stored.
        schema: the columns wanted.
        size: most rows in a batch.
    """
    if not len(data):
        return
    rows = max(1, int(_BATCH_BYTES * len(data) / max(1, data.data.nbytes)))
    for table in data.with_format("arrow").iter(batch_size=min(size, rows)):
        yield from _one_batch(table, schema)


def write_saved_dataset(
    table: SavedDatasetTable, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    """Write a data set folder whole or not at all."""
    with replace_folder(path) as draft:
        table._write(draft / "data", schema, batches)
        for child in (draft / "data").iterdir():
            child.rename(draft / child.name)
        (draft / "data").rmdir()


def _one_batch(table: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    table = table.select(schema.names).cast(schema)
    yield from table.combine_chunks().to_batches()


def _split_folder(source: str, folder: Path, split: str | None) -> Path:
    listing = folder / "dataset_dict.json"
    if not listing.is_file():
        if split is not None:
            raise InputError(f"{source}: this data set has no splits, so no split {split!r}")
        return folder
    try:
        splits = [str(name) for name in json.loads(listing.read_text("utf-8"))["splits"]]
    except (OSError, *_DAMAGED) as error:
        raise InputError(f"{listing}: not what `datasets` writes: {error}") from error
    for name in splits:
        if not _is_plain(name):
            raise InputError(f"{listing}: the split {name!r} leads out of the folder")
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        raise InputError(_which_split(source, split, splits))
    return folder / split


def _refuse_files_elsewhere(folder: Path) -> None:
    """Refuse a folder whose description names files that do not lie in it.

    Raises:
        InputError: it does, or there is no description that can be read.
    """
    listing = folder / "state.json"
    try:
        files = json.loads(listing.read_text("utf-8"))["_data_files"]
        names = [str(file["filename"]) for file in files]
    except (OSError, *_DAMAGED) as error:
        raise InputError(f"{listing}: not what `datasets` writes: {error}") from error
    for name in names:
        if not _is_plain(name):
            raise InputError(f"{listing}: the file {name!r} does not lie in this folder")


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}


def _which_split(source: str, split: str | None, splits: list[str]) -> str:
    there = ", ".join(splits)
    if split is None:
        return f"{source}: which split? Write {source}:SPLIT; the splits are: {there}"
    return f"{source}: there is no split {split!r}; the splits are: {there}"
