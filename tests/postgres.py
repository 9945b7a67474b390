"""A real PostgreSQL server, started for tests and thrown away with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CONTROL = Path(
    shutil.which("pg_ctl") or next(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), "x")
)
INSTALLED = _CONTROL.exists()

COLOURS = ("red", "green", "blue", "yellow")
ROWS = 160


class Server:
    """A server that is reached through a socket in a folder of its own.

    Attributes:
        host: the folder, which is what clients connect to.
    """

    def __init__(self, folder: Path) -> None:
        self.host = str(folder)
        self._folder = folder
        self._as_user: list[str] = []
        if os.getuid() == 0:
            # The server refuses to run as root.
            self._as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of the server's programs on its data."""
        path = _CONTROL.resolve().parent / program
        command = [*self._as_user, path, "-D", self._folder / "data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self.run("pg_ctl", "-w", "-o", options, "-l", self._folder / "log", "start")

    def stop(self) -> None:
        """Stop at once, as if the power had gone."""
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def connect(self, **more: Any) -> Any:
        """Connect as the owner of everything; each statement is a transaction of its own."""
        import psycopg

        named = {"user": "owner", "dbname": "postgres", **more}
        return psycopg.connect(host=self.host, autocommit=True, **named)

    def sql(self, *statements: str) -> None:
        """Run statements as the owner."""
        with self.connect() as owner:
            for statement in statements:
                owner.execute(statement)

    def value(self, statement: str) -> Any:
        """Give the one value that a statement of the owner asks for."""
        with self.connect() as owner:
            return owner.execute(statement).fetchone()[0]


@contextmanager
def running_server() -> Iterator[Server]:
    """Give a server for the length of the block."""
    # Not among pytest's own folders: those are private, and too long a path for a socket.
    with tempfile.TemporaryDirectory(prefix="rac-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder)
        server.run("initdb", "-A", "trust", "-U", "owner", "-N")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def dump(server: Server, *name: str, without: Sequence[str] = ()) -> bytes:
    """Give a table as bytes, in the order of its first column, some columns left out."""
    from psycopg import sql

    with server.connect() as owner, owner.cursor() as cursor:
        table = sql.Identifier(*name)
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(table))
        names = [one.name for one in cursor.description if one.name not in without]
        query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY 1) TO STDOUT").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), table
        )
        with cursor.copy(query) as copied:
            return b"".join(bytes(part) for part in copied)


def make_items(server: Server, names: Sequence[str], missing: str | None = None) -> None:
    """Make the table ``items``, two fifths of its colours missing, for a role that may fill it.

    Args:
        server: on which there may be one already.
        names: of the images, by row.
        missing: what a missing cell says; None for NULL.
    """
    server.sql(
        "DROP TABLE IF EXISTS items CASCADE",
        "CREATE TABLE items (sku int PRIMARY KEY, image text, colour varchar(20), price int)",
    )
    with server.connect() as owner, owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO items VALUES (%s, %s, %s, %s)",
            [
                (row, name, missing if row % 5 in (0, 3) else COLOURS[row % 4], row)
                for row, name in enumerate(names)
            ],
        )
    server.sql(
        "UPDATE items SET colour = ' N/A ' WHERE sku = 5",
        "DO $$ BEGIN CREATE ROLE filler LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT SELECT, UPDATE (colour) ON items TO filler",
        # The least that a job needs: to read, to set the one column, and to keep its journal.
        "DROP SCHEMA IF EXISTS rac CASCADE",
        "CREATE SCHEMA rac AUTHORIZATION filler",
    )
