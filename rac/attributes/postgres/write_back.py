"""Writing fills into the database, and taking them out again.

Cells are set in small transactions, each only where the cell is still what it was when the run
read it. ``applied.jsonl`` says before each transaction that it comes, and after it which rows it
changed; a job killed in between asks the database, so nothing is written twice and nothing that
was written is forgotten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rac.attributes.ledger import Decision, Ledger
from rac.attributes.postgres.address import TableShape
from rac.attributes.schema import Schema

if TYPE_CHECKING:
    import psycopg

_BATCH_CELLS = 1000


@dataclass(frozen=True)
class CellBatch:
    """Cells of one column that are set in one transaction.

    Attributes:
        name: tells the batch apart in the log.
        column: of the table.
        keys: which rows.
        before: what each cell said; None for NULL.
        values: what it is to say.
    """

    name: str
    column: str
    keys: list[str]
    before: list[str | None]
    values: list[str]


class AppliedLog:
    """What was written into the database; a line is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.begun: set[str] = set()
        self.done: dict[str, list[str]] = {}
        whole = 0
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            for line in data[:whole].splitlines():
                entry = json.loads(line)
                self.begun.add(entry["batch"])
                if "keys" in entry:
                    self.done[entry["batch"]] = entry["keys"]
        self._file = open(path, "ab")  # noqa: SIM115 - closed by close()
        # A line that was cut off by a kill is not one.
        self._file.truncate(whole)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def begin(self, name: str) -> None:
        """Note that a batch is about to be written."""
        self.begun.add(name)
        self._write({"batch": name})

    def finish(self, name: str, keys: list[str]) -> None:
        """Note which rows a batch changed."""
        self.done[name] = keys
        self._write({"batch": name, "keys": keys})

    def written(self, name: str) -> set[str] | None:
        """Give the rows of a batch's part and column that were changed; None where a batch of
        them was begun and nobody noted what it changed: any of them, then.
        """
        stretch = name.rpartition("/")[0]
        begun = {one for one in self.begun if one.rpartition("/")[0] == stretch}
        if begun - set(self.done):
            return None
        return {key for one in begun for key in self.done[one]}

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def cell_batches(ledger: Ledger, schema: Schema) -> Iterator[CellBatch]:
    """Give what a run wants written, in the ledger's order."""
    for part in ledger.parts():
        columns = ["id", "attribute", "decision", "before", "value"]
        lines = ledger.read(part, columns).to_pylist()
        for name, attribute in schema.attributes.items():
            wanted = {Decision.FILLED.value}
            if attribute.not_applicable is not None:
                wanted.add(Decision.NOT_APPLICABLE.value)
            mine = [
                line for line in lines if line["attribute"] == name and line["decision"] in wanted
            ]
            for start in range(0, len(mine), _BATCH_CELLS):
                chosen = mine[start : start + _BATCH_CELLS]
                yield CellBatch(
                    f"{part}/{name}/{start}",
                    attribute.column,
                    [line["id"] for line in chosen],
                    [line["before"] for line in chosen],
                    [line["value"] for line in chosen],
                )


def apply_batch(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    batch: CellBatch,
    log: AppliedLog,
    fills: Mapping[str, tuple[str | None, str]] | None = None,
) -> int:
    """Write a batch where its cells are still as they were; give how many were set.

    Args:
        connection: to the server.
        shape: of the table.
        batch: to write.
        log: what was written before; a batch in it is not written again.
        fills: of the batch's column, by key, what an earlier run's fill replaced and what it
            wrote; where that still stands it is replaced too, or left if it says the same.
    """
    if batch.name in log.done:
        return 0
    again = batch.name in log.begun
    if not again:
        log.begin(batch.name)
    keys = _update(connection, shape, batch.column, batch.keys, batch.before, batch.values)
    cells = zip(batch.keys, batch.values, strict=True)
    standing = [(key, fills[key][1], value) for key, value in cells if fills and key in fills]
    replaced = [cell for cell in standing if cell[1] != cell[2]]
    if replaced:
        keys += _update(connection, shape, batch.column, *_turned(replaced))
    kept = [(key, value) for key, fill, value in standing if fill == value]
    written = len(keys)
    if kept:
        held = _holding(connection, shape, batch.column, *_turned(kept))
        keys += sorted(set(held) - set(keys))
    if again:
        # The transaction may have gone through before the kill: then the cells are ours.
        keys = _holding(connection, shape, batch.column, batch.keys, batch.values)
        written = len(keys)
    connection.commit()
    log.finish(batch.name, keys)
    return written


def revert_batch(
    connection: psycopg.Connection[Any], shape: TableShape, batch: CellBatch, log: AppliedLog
) -> int:
    """Set the cells back that a batch set, where they still hold its values."""
    mine = log.written(batch.name)
    places = [place for place, key in enumerate(batch.keys) if mine is None or key in mine]
    keys = _update(
        connection,
        shape,
        batch.column,
        [batch.keys[place] for place in places],
        [batch.values[place] for place in places],
        [batch.before[place] for place in places],
    )
    connection.commit()
    return len(keys)


def revert_fills(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    column: str,
    fills: Mapping[str, tuple[str | None, str]],
    spared: Collection[str] = (),
) -> int:
    """Set cells back that still hold their fill, in transactions of some each.

    Args:
        connection: to the server.
        shape: of the table.
        column: whose cells.
        fills: by key, what a cell said before and what was written.
        spared: keys of cells that are left as they are.

    Returns:
        How many were set back.
    """
    wanted = [(key, value, before) for key, (before, value) in fills.items() if key not in spared]
    undone = 0
    for start in range(0, len(wanted), _BATCH_CELLS):
        part = wanted[start : start + _BATCH_CELLS]
        undone += len(_update(connection, shape, column, *_turned(part)))
        connection.commit()
    return undone


def _turned(cells: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Give the columns of some lines, at least one."""
    return tuple(map(list, zip(*cells, strict=True)))


def _update(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    column: str,
    keys: list[str],
    old: list[Any],
    new: list[Any],
) -> list[str]:
    from psycopg import sql

    if not keys:
        return []
    query = sql.SQL(
        "UPDATE {table} AS t SET {column} = v.new::{kind} "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(key, old, new) "
        "WHERE t.{key} = v.key::{key_kind} AND t.{column}::text IS NOT DISTINCT FROM v.old "
        "RETURNING v.key"
    ).format(
        table=sql.Identifier(shape.schema, shape.table),
        column=sql.Identifier(column),
        key=sql.Identifier(shape.key),
        kind=sql.SQL(shape.types[column]),
        key_kind=sql.SQL(shape.types[shape.key]),
    )
    return [str(row[0]) for row in connection.execute(query, (keys, old, new)).fetchall()]


def _holding(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    column: str,
    keys: list[str],
    values: list[str],
) -> list[str]:
    """Give the keys whose cells hold their values."""
    from psycopg import sql

    query = sql.SQL(
        "SELECT v.key FROM {table} AS t, unnest(%s::text[], %s::text[]) AS v(key, new) "
        "WHERE t.{key} = v.key::{key_kind} AND t.{column}::text = v.new"
    ).format(
        table=sql.Identifier(shape.schema, shape.table),
        column=sql.Identifier(column),
        key=sql.Identifier(shape.key),
        key_kind=sql.SQL(shape.types[shape.key]),
    )
    found = connection.execute(query, (keys, values)).fetchall()
    return [str(row[0]) for row in found]
