"""Which table of which server: ``postgresql://HOST[:PORT]/DATABASE?table=[SCHEMA.]TABLE``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from rac.errors import InputError, JobFailed

if TYPE_CHECKING:
    import psycopg

_SCHEMES = ("postgresql://", "postgres://")


def is_address(source: str) -> bool:
    """Whether a table's name is an address in PostgreSQL."""
    return source.startswith(_SCHEMES)


@dataclass(frozen=True)
class Address:
    """A table in a database.

    Attributes:
        server: what the client library connects to, without the table and without a password.
        schema: of the database; None for the first in the search path that has the table.
        table: its name.
    """

    server: str
    schema: str | None
    table: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address.

        Raises:
            InputError: no table is named, or a password stands in it.

        >>> found = Address.parse("postgresql://db.example:5433/shop?table=public.items")
        >>> found.server, found.schema, found.table
        ('postgresql://db.example:5433/shop', 'public', 'items')
        """
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        named = [value for key, value in query if key == "table" and value]
        if parts.password is not None or any(key == "password" for key, _ in query):
            raise InputError(
                "a password in the address can be seen by everybody on this machine; leave it out "
                "and set PGPASSWORD, or use ~/.pgpass"
            )
        if len(named) != 1:
            raise InputError(
                f"{url}: which table? Write postgresql://HOST/DATABASE?table=SCHEMA.TABLE"
            )
        rest = urlencode([(key, value) for key, value in query if key != "table"])
        schema, _, table = named[0].rpartition(".")
        server = f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if rest else ''}{rest}"
        return cls(server, schema or None, table)

    def __str__(self) -> str:
        name = f"{self.schema}.{self.table}" if self.schema else self.table
        return f"{self.server}{'&' if '?' in self.server else '?'}table={name}"

    def connect(self) -> psycopg.Connection[Any]:
        """Connect; user and password come from the environment, as for ``psql``.

        Raises:
            InputError: the client library is not installed.
            JobFailed: the server does not let us in.
        """
        try:
            import psycopg
        except ImportError:
            raise InputError(
                "PostgreSQL needs one more package: pip install 'psycopg[binary]'"
            ) from None
        try:
            return psycopg.connect(self.server, application_name="rac fill")
        except psycopg.Error as error:
            raise JobFailed(f"{self}: {str(error).strip()}") from error


@dataclass(frozen=True)
class TableShape:
    """A table as the server's catalogue has it.

    Attributes:
        schema: its schema.
        table: its name.
        types: type of each column, as SQL writes it.
        key: the column that names a row.
    """

    schema: str
    table: str
    types: dict[str, str]
    key: str


def read_shape(
    connection: psycopg.Connection[Any], address: Address, key: str | None
) -> TableShape:
    """Look a table up.

    Args:
        connection: to its server.
        address: of the table.
        key: the column that names a row; None for the primary key.

    Raises:
        InputError: there is no such table, or no single column that names a row.
    """
    name = f"{address.schema}.{address.table}" if address.schema else address.table
    found = connection.execute(
        "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND "
        "(n.nspname = %s OR (%s::text IS NULL AND pg_table_is_visible(c.oid)))",
        (address.table, address.schema, address.schema),
    ).fetchone()
    if found is None:
        raise InputError(f"{address}: there is no table {name!r}")
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (found[0],),
    ).fetchall()
    types = {str(column): str(kind) for column, kind in columns}
    unique = connection.execute(
        "SELECT a.attname, i.indisprimary, a.attnotnull FROM pg_index i JOIN pg_attribute a "
        "ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid = %s AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL "
        "ORDER BY i.indisprimary DESC",
        (found[0],),
    ).fetchall()
    keys = [str(column) for column, _, not_null in unique if not_null]
    if key is not None and key not in keys:
        raise InputError(
            f"{address}: column {key!r} does not name rows; it needs a unique index and NOT NULL"
        )
    if not keys:
        raise InputError(f"{address}: it has no primary key of one column, so rows have no name")
    return TableShape(str(found[1]), str(found[2]), types, key or keys[0])
