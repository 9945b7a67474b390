"""The columns that a job needs, read once by key in batches and kept as a file in the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.journal import Fills
from rac.attributes.postgres.shape import TableShape
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


@dataclass(frozen=True)
class Held:
    """How many cells of a table held a fill when it was read.

    Attributes:
        own: fills of the job.
        others: fills of other jobs.
    """

    own: int = 0
    others: int = 0


def write_snapshot(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    path: Path,
    fills: Callable[[], Fills] | None = None,
    job: str = "",
) -> Held:
    """Read columns of all rows, as they are at one moment, into a Parquet file.

    Every column is text, as the server writes it, save bytes.

    Args:
        connection: to the server.
        shape: of the table.
        columns: to read, the key first.
        path: the file, written whole or not at all.
        fills: gives the fills that may stand in the table, as they are at that moment. A cell that
            still holds its fill is read as it was before: fills teach nothing.
        job: whose fills are its own.

    Returns:
        How many cells held a fill.
    """
    own = others = 0
    schema = pa.schema(
        [
            pa.field(name, pa.binary() if shape.types[name] == "bytea" else pa.string())
            for name in columns
        ]
    )
    connection.rollback()
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    standing = fills() if fills else {}
    with replace_file(path) as draft, pq.ParquetWriter(draft, schema) as writer:
        for rows in _batches(connection, shape, columns):
            cells = [list(column) for column in zip(*rows, strict=True)]
            for column, name in zip(cells, columns, strict=True):
                filled = standing.get(name, {})
                for place, key in enumerate(cells[0] if filled else ()):
                    entry = filled.get(key)
                    if entry is not None and column[place] == entry.stored:
                        column[place] = entry.before
                        own += entry.job == job
                        others += entry.job != job
            writer.write_batch(
                pa.RecordBatch.from_arrays(
                    [pa.array(one, field.type) for one, field in zip(cells, schema, strict=True)],
                    schema=schema,
                )
            )
    connection.rollback()
    return Held(own, others)


def _batches(
    connection: psycopg.Connection[Any], shape: TableShape, columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    from psycopg import sql

    names = [shape.identifier(name) for name in columns]
    cells = [
        name if shape.types[column] == "bytea" else sql.SQL("{}::text").format(name)
        for name, column in zip(names, columns, strict=True)
    ]
    # Of the table, that is: without the t. it would be the text selected, and 10 before 9.
    query = "SELECT {cells} FROM {table} AS t {after} ORDER BY t.{key} LIMIT %(most)s"
    parts = {"cells": sql.SQL(", ").join(cells), **shape.parts(shape.key)}
    after = sql.SQL("WHERE t.{key} > %(last)s::{key_kind}").format(**parts)
    first = sql.SQL(query).format(after=sql.SQL(""), **parts)
    further = sql.SQL(query).format(after=after, **parts)
    last: str | None = None
    while True:
        asked = first if last is None else further
        rows = connection.execute(asked, {"last": last, "most": _BATCH_ROWS}).fetchall()
        if rows:
            yield rows
            last = rows[-1][0]
        if len(rows) < _BATCH_ROWS:
            return
