"""The statements that set cells of a table and read them back, and the cells that a run wants set.

A cell is set only where it still says what is expected. A cell's text is what the server writes
for it; what a cell holds is read at the end of the transaction, when every trigger has had its
way, those that wait for the end too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rac.attributes.ledger import Decision, Ledger
from rac.attributes.postgres.shape import TableShape
from rac.attributes.schema import Schema

if TYPE_CHECKING:
    import psycopg

_BATCH_CELLS = 1000


@dataclass(frozen=True)
class CellBatch:
    """Cells of one column that are set in one transaction.

    Attributes:
        name: part of the ledger, attribute and number of the first cell.
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

    def halves(self) -> tuple[CellBatch, CellBatch]:
        """Give the cells of a batch, two or more, as two batches."""
        middle = len(self.keys) // 2
        return self._cut(slice(None, middle)), self._cut(slice(middle, None))

    def _cut(self, part: slice) -> CellBatch:
        return CellBatch(
            self.name, self.column, self.keys[part], self.before[part], self.values[part]
        )


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


def set_cells(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    column: str,
    cells: Sequence[tuple[str, str | None, str | None]],
) -> set[str]:
    """Set cells where they say what is expected, and have constraints and triggers have their say.

    Args:
        connection: in whose transaction; it stays open.
        shape: of the table.
        column: whose cells.
        cells: for each its row's key, what it is expected to say, and what it is to say.

    Returns:
        The keys of the rows that were set.
    """
    from psycopg import sql

    if not cells:
        return set()
    query = sql.SQL(
        "UPDATE {table} AS t SET {column} = v.new::{kind} "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(key, old, new) "
        "WHERE t.{key} = v.key::{key_kind} AND t.{column}::text IS NOT DISTINCT FROM v.old "
        "RETURNING v.key"
    ).format(**shape.parts(column))
    keys, old, new = (list(part) for part in zip(*cells, strict=True))
    found = connection.execute(query, (keys, old, new)).fetchall()
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return {str(row[0]) for row in found}


def texts_of(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    column: str,
    keys: Collection[str],
) -> dict[str, str | None]:
    """Give what cells say, by their row's key; rows that are not there are left out."""
    from psycopg import sql

    query = sql.SQL(
        "SELECT v.key, t.{column}::text FROM unnest(%s::text[]) AS v(key) "
        "JOIN {table} AS t ON t.{key} = v.key::{key_kind}"
    ).format(**shape.parts(column))
    return dict(connection.execute(query, (list(keys),)).fetchall())
