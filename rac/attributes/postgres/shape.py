"""A table as the server's catalogue has it, and what the role may do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.address import Address
from rac.errors import InputError, JobFailed

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_OTHER_KINDS = {
    "v": "a view",
    "m": "a materialised view",
    "f": "a foreign table",
    "S": "a sequence",
}


@dataclass(frozen=True)
class TableShape:
    """A table of a database.

    Attributes:
        schema: its schema.
        table: its name.
        types: type of each column, as SQL writes it.
        key: the column that names a row.
        computed: columns whose cells the server computes.
    """

    schema: str
    table: str
    types: dict[str, str]
    key: str
    computed: frozenset[str] = frozenset()

    @property
    def relation(self) -> str:
        """Schema and table, by which the journal names it."""
        return f"{self.schema}.{self.table}"

    def parts(self, column: str) -> dict[str, sql.Composable]:
        """Give the table, one of its columns, its key and both types, for a statement that is
        given values too.
        """
        return {
            "table": _named(self.schema, self.table),
            "column": _named(column),
            "kind": _plain(self.types[column]),
            "key": _named(self.key),
            "key_kind": _plain(self.types[self.key]),
        }

    def identifier(self, column: str) -> sql.Composable:
        """Give a column's name, for such a statement."""
        return _named(column)


def read_shape(
    connection: psycopg.Connection[Any], address: Address, key: str | None
) -> TableShape:
    """Look a table up.

    Args:
        connection: to its server.
        address: of the table.
        key: the column that names a row; None for the primary key.

    Raises:
        InputError: there is no such table, it is not one whose rows can be set one by one, or no
            single column names them.
    """
    name = f"{address.schema}.{address.table}" if address.schema else address.table
    found = connection.execute(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relkind = 'r' AND "
        "EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %s AND "
        "(n.nspname = %s OR (%s::text IS NULL AND pg_table_is_visible(c.oid))) "
        "AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')",
        (address.table, address.schema, address.schema),
    ).fetchone()
    if found is None:
        raise InputError(
            f"{address}: there is no table {name!r}; if it was renamed, give it by its new name, "
            "or give it its old one back where a run is to be taken back"
        )
    oid, schema, table, kind, parent = found
    if kind in _OTHER_KINDS:
        raise InputError(f"{address}: {name!r} is {_OTHER_KINDS[kind]}; name the table behind it")
    if parent:
        raise InputError(
            f"{address}: {name!r} has tables that inherit from it, so that its key does not name "
            "rows; name one of them"
        )
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '' OR attidentity = 'a' "
        "FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (oid,),
    ).fetchall()
    types = {str(column): str(kind) for column, kind, _ in columns}
    computed = frozenset(str(column) for column, _, by_server in columns if by_server)
    unique = connection.execute(
        "SELECT a.attname, i.indisprimary, a.attnotnull FROM pg_index i JOIN pg_attribute a "
        "ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid = %s AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL "
        "AND i.indisvalid ORDER BY i.indisprimary DESC",
        (oid,),
    ).fetchall()
    keys = [str(column) for column, _, not_null in unique if not_null]
    if key is not None and key not in types:
        raise InputError(
            f"{address}: there is no column {key!r}, by which rows are named; the columns are: "
            f"{', '.join(map(repr, types))}"
        )
    if key is not None and key not in keys:
        raise InputError(
            f"{address}: column {key!r} does not name rows; it needs a unique index and NOT NULL"
        )
    if not keys:
        raise InputError(f"{address}: it has no primary key of one column, so rows have no name")
    return TableShape(str(schema), str(table), types, key or keys[0], computed)


def require_writable(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    columns: Sequence[str],
) -> None:
    """Refuse columns that cannot be set, before anything else is done.

    Raises:
        InputError: the server computes a column, or there is none of that name.
        JobFailed: the role may not set it.
    """
    for column in columns:
        if column not in shape.types:
            raise InputError(
                f"{address}: there is no column {column!r} any more; the columns are: "
                f"{', '.join(map(repr, shape.types))}. Give it its old name back, or leave it out"
            )
        if column in shape.computed:
            raise InputError(
                f"{address}, column {column!r}: the server computes its cells; name the column "
                "that it is computed from"
            )
        row = connection.execute(
            "SELECT has_column_privilege(format('%%I.%%I', %s::text, %s::text), %s, 'UPDATE'), "
            "current_user",
            (shape.schema, shape.table, column),
        ).fetchone()
        if row is None or not row[0]:
            raise JobFailed(
                f"{address}, column {column!r}: permission denied: the role "
                f"{row[1] if row else '?'!r} may not set it; its owner may allow that: "
                f'GRANT UPDATE ("{column}") ON {shape.relation} TO ...'
            )


def _named(*names: str) -> sql.Composable:
    from psycopg import sql

    # A percent sign stands for a value there, in names as well.
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _plain(text: str) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(text.replace("%", "%%"))
