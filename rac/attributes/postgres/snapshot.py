"""The columns that a job needs, read once by key in batches and kept as a file in the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.postgres.address import Address, TableShape
from rac.errors import InputError
from retrieval_index.files import replace_file

if TYPE_CHECKING:
    import psycopg

_BATCH_ROWS = 10_000


def needed_columns(shape: TableShape, wanted: Sequence[str], address: Address) -> list[str]:
    """Give the columns to read: the key, and those that are wanted.

    Raises:
        InputError: the table lacks one; the message says what would add it.
    """
    for column in wanted:
        if column not in shape.types:
            raise InputError(
                f"{address}: there is no column {column!r}; the columns are: "
                f"{', '.join(map(repr, shape.types))}. A job adds none; the owner may: "
                f'ALTER TABLE "{shape.table}" ADD COLUMN "{column}" text'
            )
    return list(dict.fromkeys([shape.key, *wanted]))


def write_snapshot(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    path: Path,
    fills: Mapping[str, Mapping[str, tuple[str | None, str]]] | None = None,
) -> int:
    """Read columns of all rows, as they are at one moment, into a Parquet file.

    Every column is text, as the server writes it, save bytes.

    Args:
        connection: to the server.
        shape: of the table.
        columns: to read, the key first.
        path: the file, written whole or not at all.
        fills: for some columns, by key, what a cell said before it was filled and what with. A
            cell that still holds its fill is read as it was before: fills teach nothing.

    Returns:
        How many cells held their fill.
    """
    held = 0
    schema = pa.schema(
        [
            pa.field(name, pa.binary() if shape.types[name] == "bytea" else pa.string())
            for name in columns
        ]
    )
    connection.rollback()
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    with replace_file(path) as draft, pq.ParquetWriter(draft, schema) as writer:
        for rows in _batches(connection, shape, columns):
            cells = [list(column) for column in zip(*rows, strict=True)]
            for column, name in zip(cells, columns, strict=True):
                filled = (fills or {}).get(name, {})
                for place, key in enumerate(cells[0] if filled else ()):
                    before, value = filled.get(key, (None, None))
                    if value is not None and column[place] == value:
                        column[place] = before
                        held += 1
            writer.write_batch(
                pa.RecordBatch.from_arrays(
                    [pa.array(one, field.type) for one, field in zip(cells, schema, strict=True)],
                    schema=schema,
                )
            )
    connection.rollback()
    return held


def _batches(
    connection: psycopg.Connection[Any], shape: TableShape, columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    from psycopg import sql

    key = sql.Identifier(shape.key)
    cells = [
        sql.Identifier(name)
        if shape.types[name] == "bytea"
        else sql.SQL("{}::text").format(sql.Identifier(name))
        for name in columns
    ]
    kind = sql.SQL(shape.types[shape.key])
    # Of the table, that is: without the t. it would be the text selected, and 10 before 9.
    query = sql.SQL("SELECT {} FROM {} AS t {} ORDER BY t.{} LIMIT {}")
    table = sql.Identifier(shape.schema, shape.table)
    after = sql.SQL("WHERE t.{} > %s::{}").format(key, kind)
    last: str | None = None
    while True:
        where = sql.SQL("") if last is None else after
        asked = query.format(sql.SQL(", ").join(cells), table, where, key, _BATCH_ROWS)
        rows = connection.execute(asked, () if last is None else (last,)).fetchall()
        if rows:
            yield rows
            last = rows[-1][0]
        if len(rows) < _BATCH_ROWS:
            return
