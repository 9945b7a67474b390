"""A connection to the server: every error told without a traceback, and no silent waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.address import Address
from rac.errors import InputError, JobFailed
from rac.progress import say

if TYPE_CHECKING:
    import psycopg

_SECONDS_UNSAID = 5
_SECONDS_AT_MOST = 600
_GO_ON = "what is written stands; run it again, and it goes on where it was"


@contextmanager
def session(address: Address, doing: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect for the length of the block; user and password come from the environment.

    A statement that waits for somebody else's lock is told after 5 seconds on the error stream,
    with who holds it, and ends the job after 10 minutes, unless the role's own ``lock_timeout``
    is set.

    Args:
        address: of a table of the server.
        doing: what is done in the block, for messages.

    Raises:
        InputError: the client library is not installed.
        JobFailed: the server does not let us in, refuses a statement, or ends the connection.
    """
    try:
        import psycopg
    except ImportError:
        raise InputError(
            "PostgreSQL needs one more package: pip install 'psycopg[binary]'"
        ) from None
    with refusals_told(address, "connecting"):
        connection = psycopg.connect(
            address.server, application_name="rac fill", client_encoding="UTF8", autocommit=True
        )
    with closing(connection), refusals_told(address, doing):
        connection.execute(
            "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') "
            "= '0'",
            (f"{_SECONDS_AT_MOST}s",),
        )
        connection.autocommit = False
        with _waiting_told(address, connection):
            yield connection


@contextmanager
def refusals_told(address: Address, doing: str) -> Iterator[None]:
    """Turn what the client library raises in the block into errors for the person.

    Raises:
        JobFailed: where the block raises an error of the server or of the connection, or where a
            cell is not text.
    """
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise JobFailed(
            f"{address}: {doing}: another session holds a lock that was not given free in time "
            f"({_said(error)}); {_GO_ON}"
        ) from error
    except psycopg.OperationalError as error:
        raise JobFailed(f"{address}: {doing}: {_said(error)}; {_GO_ON}") from error
    except psycopg.Error as error:
        raise JobFailed(f"{address}: {doing}: {_said(error)}") from error
    except UnicodeError as error:
        raise JobFailed(
            f"{address}: {doing}: a text cannot be said in the letters of UTF-8 ({error})"
        ) from error


def _said(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


@contextmanager
def _waiting_told(address: Address, connection: psycopg.Connection[Any]) -> Iterator[None]:
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(address, connection, done), daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


def _watch(address: Address, connection: psycopg.Connection[Any], done: threading.Event) -> None:
    """Look once a second whether a statement has been at work for long, and why."""
    from psycopg.pq import TransactionStatus

    pid = connection.info.backend_pid
    active, told = 0, ""
    while not done.wait(_SECONDS_UNSAID / 5):
        if connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
            active, told = 0, ""
            continue
        active += 1
        if active >= 5:
            holders = _holders(address, pid)
            if holders and holders != told:
                say(f"waiting for a lock on {address}, held by {holders}")
                told = holders


def _holders(address: Address, pid: int) -> str:
    """Say who keeps a backend waiting; empty where nobody does or nobody can tell."""
    import psycopg

    try:
        with psycopg.connect(address.server, application_name="rac fill watch") as other:
            found = other.execute(
                "SELECT pid, application_name, usename, state FROM pg_stat_activity "
                "WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY pid",
                (pid,),
            ).fetchall()
    except psycopg.Error:
        # The wait itself goes on, and ends in time with an error that says so.
        return ""
    return "; ".join(
        f"process {holder} ({name or 'no application name'}, user {user or 'not known'}"
        f"{f', {state}' if state else ''})"
        for holder, name, user, state in found
    )
