"""A table written again, in the format it came in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pyarrow as pa

from rac.errors import InputError
from rac.tables.cells import cell_text
from rac.tables.datasets_table import SavedDatasetTable, write_saved_dataset
from rac.tables.table import Table, without_row_number
from retrieval_index.files import replace_file


def write_like(
    table: Table,
    out_folder: str | Path,
    stem: str,
    batches: Iterable[pa.RecordBatch],
    *,
    without: Sequence[str] = (),
) -> Path:
    """Write batches in a table's own format, whole or not at all.

    CSV keeps delimiter, quoting, encoding, byte order mark, line ends and column order; Parquet
    its schema, metadata and compression; JSON lines their types; a saved data set its features.
    A folder of images becomes CSV, a card's or the hub's table Parquet.

    Args:
        table: whose format is kept.
        out_folder: where to write; made where it is missing.
        stem: name of the file without its suffix, or of the folder.
        batches: the table's columns in any order, and more, which come after them. All batches
            have the same columns.
        without: columns of the table that the batches lack and the copy shall lack too.

    Returns:
        The path written.

    Raises:
        InputError: the result would replace the table itself, or a cell cannot be written.
        OSError: the disk is full, or the file cannot be written; it names the path, and nothing
            half written stays.
    """
    path = Path(out_folder) / f"{stem}{table.suffix}"
    original = Path(table.source).expanduser()
    if original.exists() and path.exists() and os.path.samefile(original, path):
        raise InputError(f"{path}: this would replace the table that is being read")
    stream = iter(batches)
    first = next(stream, None)
    schema = _output_schema(table, first.schema if first is not None else table.schema, without)
    fitted = _fit(chain([] if first is None else [first], stream), schema, table)
    with _path_told(path):
        if isinstance(table, SavedDatasetTable):
            write_saved_dataset(table, path, schema, fitted)
        else:
            with replace_file(path) as draft:
                table._write(draft, schema, fitted)
    return path


@contextmanager
def _path_told(path: Path) -> Iterator[None]:
    """Have a failed write name its file: writing into an open one fails without a name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _output_schema(table: Table, given: pa.Schema, without: Sequence[str]) -> pa.Schema:
    lost = [name for name in table.columns if name not in (*given.names, *without)]
    if lost:
        raise ValueError(f"the batches lack columns of {table.source}: {lost}")
    added = [field for field in without_row_number(given) if field.name not in table.columns]
    kept = [field for field in table.schema if field.name not in without]
    return pa.schema([*kept, *added], metadata=table.schema.metadata)


def _fit(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, table: Table
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        arrays = []
        for field in schema:
            column = batch.column(field.name)
            if column.type != field.type:
                column = _cast(column, field, table)
            arrays.append(column)
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(column: pa.Array, field: pa.Field, table: Table) -> pa.Array:
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if pa.types.is_string(field.type):
            return pa.array([cell_text(cell) for cell in column.to_pylist()], field.type)
        raise InputError(
            f"{table.source}: column {field.name!r} holds {field.type}: {error}"
        ) from error
