"""Whether values can be written and given back: asked of the server before the first row is set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.session import refusals_told
from rac.attributes.postgres.shape import TableShape
from rac.attributes.postgres.statements import CellBatch, set_cells, texts_of
from rac.attributes.schema import Schema
from rac.errors import InputError

if TYPE_CHECKING:
    import psycopg

_AT_A_TIME = 1000


def require_fitting(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    column: str,
    values: Sequence[str | None],
) -> None:
    """Refuse values that a column's type cannot hold as they are.

    The server casts each to the type and back: what comes out must be what went in. An explicit
    cast shortens a text without a word, and rounds a number.

    Args:
        connection: to the server.
        address: of the table, for messages.
        shape: of the table.
        column: whose type.
        values: texts that may be written into it.

    Raises:
        InputError: one does not fit; the message names it, the column and the type.
    """
    import psycopg

    words = [value for value in dict.fromkeys(values) if value is not None]
    try:
        with connection.transaction():
            stored = _cast(connection, shape, column, words)
    except (psycopg.Error, UnicodeError):
        stored = []
        for word in words:
            try:
                with connection.transaction():
                    stored += _cast(connection, shape, column, [word])
            except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise _unfit(address, shape, column, word, reason) from error
    for word, now in zip(words, stored, strict=True):
        if word != now:
            raise _unfit(address, shape, column, word, f"it would be stored as {now!r}")


def require_schema_fitting(
    connection: psycopg.Connection[Any], address: Address, shape: TableShape, schema: Schema
) -> None:
    """Refuse a schema that lists values which the table cannot hold; errors as above."""
    for attribute in schema.attributes.values():
        names = [value.name for value in attribute.values or ()]
        if attribute.not_applicable is not None:
            names.append(attribute.not_applicable)
        require_fitting(connection, address, shape, attribute.column, names)


def _unfit(address: Address, shape: TableShape, column: str, word: str, why: str) -> InputError:
    return InputError(
        f"{address}, column {column!r}: the value {word!r} does not fit the type "
        f"{shape.types[column]}: {why}. Nothing is written. Let the owner change the column's "
        "type, or write the value in the schema as the column can hold it"
    )


def _cast(
    connection: psycopg.Connection[Any], shape: TableShape, column: str, words: list[str]
) -> list[str | None]:
    from psycopg import sql

    query = sql.SQL(
        "SELECT v.word::{kind}::text FROM unnest(%s::text[]) WITH ORDINALITY AS v(word, place) "
        "ORDER BY v.place"
    ).format(kind=shape.parts(column)["kind"])
    return [row[0] for row in connection.execute(query, (words,)).fetchall()]


@dataclass(frozen=True)
class Rehearsed:
    """What was seen when some cells were set and given back, and nothing kept.

    Attributes:
        side_effects: other columns of the rows that are not as before after that; the database
            changes them by itself, and undo does not give them back.
    """

    side_effects: tuple[str, ...]


def rehearse(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    batches: Iterable[CellBatch],
) -> Rehearsed:
    """Set one cell for each change that a job is to make, give it back, and roll that back.

    Constraints, triggers and rights thereby have their say before the first row is written, also
    those that speak at the end of a transaction only.

    Args:
        connection: to the server.
        address: of the table, for messages.
        shape: of the table.
        batches: all cells that are to be set.

    Raises:
        InputError: a value does not fit its column; a cell that is given back is not as before;
            or other rows change with it.
        JobFailed: the server refuses one of the changes.
    """
    changes: dict[str, dict[tuple[str | None, str], str]] = {}
    for batch in batches:
        mine = changes.setdefault(batch.column, {})
        for key, before, value in zip(batch.keys, batch.before, batch.values, strict=True):
            mine.setdefault((before, value), key)
    for column, mine in changes.items():
        require_fitting(connection, address, shape, column, [value for _, value in mine])
    readable = _readable(connection, shape)
    effects: set[str] = set()
    for column, mine in changes.items():
        lines = [(key, before, value) for (before, value), key in mine.items()]
        for start in range(0, len(lines), _AT_A_TIME):
            some = lines[start : start + _AT_A_TIME]
            doing = f"column {column!r}, tried on {len(some)} rows and not kept"
            with refusals_told(address, doing):
                effects |= _try(connection, address, shape, column, some, readable)
            connection.rollback()
    return Rehearsed(tuple(sorted(effects)))


def _try(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    column: str,
    lines: Sequence[tuple[str, str | None, str]],
    readable: Sequence[str],
) -> set[str]:
    keys = [key for key, _, _ in lines]
    others = [name for name in readable if name != column]
    rows = _prints(connection, shape, others, keys)
    tried = set_cells(connection, shape, column, lines)
    stored = texts_of(connection, shape, column, tried)
    if readable:
        _refuse_other_rows(connection, address, shape, column, tried)
    was = {key: before for key, before, _ in lines}
    set_cells(connection, shape, column, [(key, stored.get(key), was[key]) for key in tried])
    back = texts_of(connection, shape, column, tried)
    for key, before, value in lines:
        if key in tried and (key not in back or back[key] != before):
            raise InputError(
                f"{address}, column {column!r}: tried on the row {key!r} and not kept: the cell "
                f"said {before!r}, was set to {value!r}, and could not be given back: it says "
                f"{back.get(key)!r} then. A trigger or a rule of the table has its own way; "
                "nothing is written, since undo could not give the table back"
            )
    after = _prints(connection, shape, others, keys)
    return {
        name
        for key in tried
        for name, old, new in zip(others, rows.get(key, ()), after.get(key, ()), strict=False)
        if old != new
    }


def _readable(connection: psycopg.Connection[Any], shape: TableShape) -> list[str]:
    """Give the columns that the role may read, save bytes; none where it may not read the table."""
    found = connection.execute(
        "SELECT has_table_privilege(format('%%I.%%I', %s::text, %s::text), 'SELECT')",
        (shape.schema, shape.table),
    ).fetchone()
    if not found or not found[0]:
        return []
    return [name for name, kind in shape.types.items() if kind != "bytea"]


def _prints(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    keys: Sequence[str],
) -> dict[str, tuple[str | None, ...]]:
    """Give checksums of some cells of some rows, by their key."""
    from psycopg import sql

    if not columns:
        return {}
    query = sql.SQL(
        "SELECT v.key, {cells} FROM unnest(%s::text[]) AS v(key) "
        "JOIN {table} AS t ON t.{key} = v.key::{key_kind}"
    ).format(
        cells=sql.SQL(", ").join(
            sql.SQL("md5(t.{}::text)").format(shape.identifier(name)) for name in columns
        ),
        **shape.parts(shape.key),
    )
    return {row[0]: row[1:] for row in connection.execute(query, (list(keys),)).fetchall()}


def _refuse_other_rows(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    column: str,
    tried: Collection[str],
) -> None:
    """Refuse a table in which the open transaction has changed other rows than those it set."""
    from psycopg import sql

    query = sql.SQL(
        "SELECT t.{key}::text FROM {table} AS t WHERE "
        "t.xmin::text = (txid_current() %% 4294967296)::text "
        "AND NOT EXISTS (SELECT FROM unnest(%s::text[]) AS v(key) "
        "WHERE v.key::{key_kind} = t.{key}) LIMIT 1"
    ).format(**shape.parts(column))
    found = connection.execute(query, (list(tried),)).fetchone()
    if found is not None:
        raise InputError(
            f"{address}, column {column!r}: when a cell is set, a trigger or a rule changes other "
            f"rows too ({found[0]!r}, tried and not kept), of which nobody would know what to "
            "give back; nothing is written"
        )
