"""The journal as a table of the database: it changes in the transaction of the cells."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.journal import Entry, Fills, Journal
from rac.errors import InputError, JobFailed

if TYPE_CHECKING:
    import psycopg

TABLE = "rac_journal"
DEFAULT_SCHEMA = "rac"
_AT_A_TIME = 1000
_MANY = 10_000

# A job has one table. A cell that another job has written since is taken over: what an earlier
# entry says of it holds no more.
_COLUMNS = {
    "number": "bigint GENERATED ALWAYS AS IDENTITY",
    "job": "text NOT NULL",
    "relation": "text NOT NULL",
    "key_name": "text NOT NULL",
    "column_name": "text NOT NULL",
    "row_key": "text NOT NULL",
    "before": "text",
    "sent": "text NOT NULL",
    "stored": "text",
    "run": "integer NOT NULL",
    "taken_over": "boolean NOT NULL DEFAULT false",
    "written": "timestamptz NOT NULL DEFAULT now()",
}
_JOBS = "SELECT DISTINCT job FROM {journal} WHERE {mine} ORDER BY job"
_NAMES = ("column_name", "row_key", "before", "sent", "stored", "run", "job", "taken_over")


class TableJournal(Journal):
    """The entries of a job in the table ``rac_journal`` of a schema.

    Args:
        schema: of the journal.
        relation: the table that is filled, as ``SCHEMA.TABLE``.
        key: the column by which its rows are named.
        job: whose entries; None for those of every job on the table.
        noted: is told how many entries there are at least, outside the database.
    """

    def __init__(
        self,
        schema: str,
        relation: str,
        key: str,
        job: str | None,
        noted: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.where = f"the table {schema}.{TABLE}"
        self._schema = schema
        self._relation = relation
        self._key = key
        self._job = job
        self.of_all = job is None
        # Counted once: it grows with every transaction, and so would the time to count.
        self._count: int | None = None
        self._noted = noted

    def create(self, connection: psycopg.Connection[Any]) -> None:
        """Make schema and table where they are missing, in a transaction of their own."""
        from psycopg import sql

        connection.rollback()
        if not _schema_exists(connection, self._schema):
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema))
            )
        if not self.is_there(connection):
            columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            table = sql.Identifier(self._schema, TABLE)
            for statement in (
                f"CREATE TABLE {{}} ({columns}, PRIMARY KEY (job, column_name, row_key))",
                f"CREATE INDEX {TABLE}_cells ON {{}} (relation, column_name, row_key)",
                f"CREATE INDEX {TABLE}_order ON {{}} (job, number)",
            ):
                connection.execute(sql.SQL(statement).format(table))
        connection.commit()

    def require(self, connection: psycopg.Connection[Any]) -> None:
        """Make sure that the table is there, where it must be.

        Raises:
            JobFailed: it is not, though a job has written into it.
        """
        if not self.is_there(connection):
            raise JobFailed(
                f"{self.where} is gone, and it says what was written into {self._relation}; put it "
                "back from a backup of the database"
            )

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Wait for transactions of the job that the server has not ended yet."""
        jobs = [self._job]
        if self._job is None:
            jobs = [str(row[0]) for row in self._all(connection, _JOBS)]
        for job in jobs:
            number = int.from_bytes(hashlib.sha256(str(job).encode()).digest()[:8], signed=True)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))

    def count(self, connection: psycopg.Connection[Any]) -> int:
        """Give how many entries there are."""
        return sum(self.columns(connection).values())

    def columns(self, connection: psycopg.Connection[Any]) -> dict[str, int]:
        """Give how many entries each column has."""
        found = self._all(
            connection,
            "SELECT column_name, count(*) FROM {journal} WHERE {mine} GROUP BY 1 ORDER BY 1",
        )
        return {str(column): int(count) for column, count in found}

    def fills(self, connection: psycopg.Connection[Any]) -> Fills:
        """Give the fills that may stand in the table."""
        found: dict[str, dict[str, Entry]] = {}
        if self.is_there(connection):
            for row in self._all(
                connection,
                "SELECT {names} FROM {journal} WHERE relation = %(relation)s "
                "AND key_name = %(key)s AND NOT taken_over",
            ):
                entry = Entry(*row)
                found.setdefault(entry.column, {})[entry.key] = entry
        return found

    def entries(
        self, connection: psycopg.Connection[Any], column: str, keys: Sequence[str]
    ) -> dict[str, Entry]:
        """Give the job's entries of some rows, by their key."""
        found = self._all(
            connection,
            # One look into the index for each key, whatever the server thinks of a table that it
            # knows as empty.
            "SELECT j.* FROM unnest(%(keys)s::text[]) AS v(row_key) CROSS JOIN LATERAL "
            "(SELECT {names} FROM {journal} AS o WHERE {mine} AND NOT taken_over "
            "AND column_name = %(column)s AND o.row_key = v.row_key LIMIT 1) AS j",
            column=column,
            keys=list(keys),
        )
        return {row[1]: Entry(*row) for row in found}

    def newest_first(
        self,
        connection: psycopg.Connection[Any],
        *,
        before_run: int | None = None,
        column: str | None = None,
    ) -> Iterator[list[Entry]]:
        """Give entries, some at a time, the newest first."""
        if self.count(connection) > _MANY:
            # So that the server knows that they are many, and goes by their order.
            self._execute(connection, "ANALYZE {journal}")
        last: int | None = None
        # By their number and not just from the end: those that are gone lie there until the server
        # clears them away, and would be passed again each time.
        while found := self._all(
            connection,
            "SELECT {names}, number FROM {journal} WHERE {mine} AND "
            "number < coalesce(%(last)s::bigint, 9223372036854775807) AND "
            "(%(run)s::int IS NULL OR run < %(run)s) AND "
            "(%(column)s::text IS NULL OR column_name = %(column)s) "
            "ORDER BY number DESC LIMIT %(most)s",
            last=last,
            run=before_run,
            column=column,
            most=_AT_A_TIME,
        ):
            last = found[-1][-1]
            yield [Entry(*row[:-1]) for row in found]

    def texts_before(self, connection: psycopg.Connection[Any], column: str) -> list[str]:
        """Give the different texts that the cells of a column said before."""
        found = self._all(
            connection,
            "SELECT DISTINCT before FROM {journal} WHERE {mine} AND column_name = %(column)s "
            "AND before IS NOT NULL",
            column=column,
        )
        return [str(row[0]) for row in found]

    def commit(
        self,
        connection: psycopg.Connection[Any],
        written: Sequence[Entry] = (),
        gone: Sequence[Entry] = (),
    ) -> None:
        """End the open transaction, and with it change the entries."""
        count = self.count(connection) if self._count is None else self._count
        if gone:
            count -= self._execute(
                connection,
                "DELETE FROM {journal} AS j USING unnest(%(jobs)s::text[], "
                "%(columns)s::text[], %(keys)s::text[]) AS v(job, column_name, row_key) "
                "WHERE j.job = v.job AND j.column_name = v.column_name AND j.row_key = v.row_key",
                jobs=[one.job for one in gone],
                columns=[one.column for one in gone],
                keys=[one.key for one in gone],
            ).rowcount
        if written:
            count += self._write(connection, written)
        # What is noted is never more than what is there, at whatever instant the job is killed.
        if gone:
            self._noted(count)
        connection.commit()
        if written:
            self._noted(count)
        self._count = count

    def _write(self, connection: psycopg.Connection[Any], written: Sequence[Entry]) -> int:
        """Write entries; give how many of them were not there before."""
        cells = {
            "columns": [one.column for one in written],
            "keys": [one.key for one in written],
            "before": [one.before for one in written],
            "sent": [one.sent for one in written],
            "stored": [one.stored for one in written],
            "runs": [one.run for one in written],
        }
        self._execute(
            connection,
            "UPDATE {journal} AS j SET taken_over = true FROM unnest(%(columns)s::text[], "
            "%(keys)s::text[]) AS v(column_name, row_key) CROSS JOIN LATERAL "
            "(SELECT o.job FROM {journal} AS o WHERE o.relation = %(relation)s AND "
            "o.column_name = v.column_name AND o.row_key = v.row_key AND o.key_name = %(key)s "
            "AND o.job <> %(job)s AND NOT o.taken_over LIMIT 1) AS other "
            "WHERE (j.job, j.column_name, j.row_key) = (other.job, v.column_name, v.row_key)",
            **cells,
        )
        found = self._execute(
            connection,
            "INSERT INTO {journal} (job, relation, key_name, column_name, row_key, before, sent, "
            "stored, run) SELECT %(job)s, %(relation)s, %(key)s, v.* FROM "
            "unnest(%(columns)s::text[], %(keys)s::text[], %(before)s::text[], "
            "%(sent)s::text[], %(stored)s::text[], %(runs)s::int[]) AS v "
            "ON CONFLICT (job, column_name, row_key) DO UPDATE SET before = excluded.before, "
            "sent = excluded.sent, stored = excluded.stored, run = excluded.run, "
            "taken_over = false, written = now() RETURNING (xmax = 0)::int",
            **cells,
        )
        added = sum(int(row[0]) for row in found.fetchall())
        self._require_kept(connection, written)
        return added

    def _require_kept(self, connection: psycopg.Connection[Any], written: Sequence[Entry]) -> None:
        """Read entries back, in the transaction that writes them: undo will go by them."""
        for column in {one.column for one in written}:
            mine = [one for one in written if one.column == column]
            kept = self.entries(connection, column, [one.key for one in mine])
            for one in mine:
                there = kept.get(one.key)
                if there is None or _content(there) != _content(one):
                    raise JobFailed(
                        f"{self.where} does not keep what is written into it (row {one.key!r}, "
                        f"column {column!r}); a trigger, a rule or a policy? That transaction was "
                        "rolled back"
                    )

    def is_there(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether there is such a table."""
        return _journal_owner(connection, self._schema) is not None

    def _execute(
        self, connection: psycopg.Connection[Any], statement: str, **values: Any
    ) -> psycopg.Cursor[Any]:
        from psycopg import sql

        places = {
            "journal": sql.Identifier(self._schema, TABLE),
            "mine": sql.SQL(
                "relation = %(relation)s AND key_name = %(key)s"
                if self._job is None
                else "job = %(job)s"
            ),
            "names": sql.SQL(", ").join(map(sql.Identifier, _NAMES)),
        }
        named = {"relation": self._relation, "key": self._key, "job": self._job, **values}
        return connection.execute(sql.SQL(statement).format(**places), named)

    def _all(
        self, connection: psycopg.Connection[Any], statement: str, **values: Any
    ) -> list[tuple[Any, ...]]:
        return self._execute(connection, statement, **values).fetchall()


def journal_keys(connection: psycopg.Connection[Any], schema: str, relation: str) -> list[str]:
    """Give the columns by which the journal of a schema names rows of a table; none where it has
    nothing of the table.
    """
    from psycopg import sql

    if _journal_owner(connection, schema) is None:
        return []
    found = connection.execute(
        sql.SQL("SELECT DISTINCT key_name FROM {} WHERE relation = %s ORDER BY 1").format(
            sql.Identifier(schema, TABLE)
        ),
        (relation,),
    ).fetchall()
    return [str(row[0]) for row in found]


def journal_schema(
    connection: psycopg.Connection[Any], asked: str | None, relation: str
) -> tuple[str | None, str]:
    """Give the schema in which a job on a table can keep its journal; nothing is made yet.

    Args:
        connection: as the role of the job.
        asked: the schema that the person names; None for ``rac``.
        relation: the table that is to be filled, as ``SCHEMA.TABLE``.

    Returns:
        The schema, None where the role may not keep a journal; and why it may not.

    Raises:
        InputError: the schema was asked for and does not serve.
    """
    schema = asked or DEFAULT_SCHEMA
    reason = _unusable(connection, schema, relation)
    if reason and asked:
        raise InputError(f"the journal cannot be kept in the schema {schema!r}: {reason}")
    return (None, reason) if reason else (schema, "")


def _unusable(connection: psycopg.Connection[Any], schema: str, relation: str) -> str:
    """Say why a journal cannot be kept in a schema; empty where it can."""
    role = str(_one(connection, "SELECT current_user", ()))
    grant = (
        f'its owner may let the role: GRANT USAGE ON SCHEMA "{schema}" TO "{role}"; '
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{schema}".{TABLE} TO "{role}"'
    )
    owner = _journal_owner(connection, schema)
    if owner is not None:
        if not _one(connection, _MAY_USE, {"schema": schema, "table": TABLE}):
            return f"the role {role!r} may not write {schema}.{TABLE}; {grant}"
        if not _one(connection, _TRUSTED, {"owner": owner, "relation": relation}):
            return (
                f"{schema}.{TABLE} belongs to somebody who could make undo write what they like; "
                "it has to belong to the role itself, the owner of the table or of the database, "
                "or a superuser"
            )
        found = connection.execute(
            "SELECT attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN "
            "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s AND "
            "attnum > 0 AND NOT attisdropped",
            (schema, TABLE),
        ).fetchall()
        if not _one(connection, _PLAIN, {"schema": schema, "table": TABLE}):
            return (
                f"{schema}.{TABLE} has triggers, rules or row-level security, or does not outlive "
                "a crash (UNLOGGED), and a journal must be a plain table"
            )
        missing = set(_COLUMNS) - {str(row[0]) for row in found}
        return f"{schema}.{TABLE} lacks the columns {sorted(missing)}" if missing else ""
    if _schema_exists(connection, schema):
        may = _one(
            connection,
            "SELECT has_schema_privilege(%(schema)s, 'CREATE') AND "
            "has_schema_privilege(%(schema)s, 'USAGE')",
            {"schema": schema},
        )
        how = f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{role}"'
    else:
        may = _one(connection, "SELECT has_database_privilege(current_database(), 'CREATE')", ())
        how = f'CREATE SCHEMA "{schema}" AUTHORIZATION "{role}"'
    return "" if may else f"the role {role!r} may not make a table there; who may do this: {how}"


def _content(entry: Entry) -> tuple[str | None, ...]:
    return entry.before, entry.sent, entry.stored, str(entry.run)


_PLAIN = (
    "SELECT c.relpersistence = 'p' AND NOT c.relrowsecurity AND NOT c.relhasrules AND NOT EXISTS "
    "(SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = %(schema)s AND c.relname = %(table)s"
)
_MAY_USE = (
    "SELECT has_schema_privilege(n.oid, 'USAGE') AND c.relkind = 'r' AND "
    "has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND "
    "has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = %(schema)s AND c.relname = %(table)s"
)
_TRUSTED = (
    # A superuser counts as a member of every role, and so is asked by name.
    "SELECT r.rolsuper OR r.rolname = current_user OR (pg_has_role(current_user, r.oid, 'USAGE') "
    "AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)) OR "
    "r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) OR "
    "r.oid = (SELECT c.relowner FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = %(relation)s) "
    "FROM pg_roles r WHERE r.oid = %(owner)s::oid"
)


def _journal_owner(connection: psycopg.Connection[Any], schema: str) -> int | None:
    found = _one(
        connection,
        "SELECT c.relowner::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        (schema, TABLE),
    )
    return None if found is None else int(found)


def _schema_exists(connection: psycopg.Connection[Any], schema: str) -> bool:
    return bool(_one(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)))


def _one(connection: psycopg.Connection[Any], statement: str, values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    return None if row is None else row[0]
