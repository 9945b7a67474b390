"""The file of one cache: an SQLite database, each value with a checksum.

What damage can do is bounded by two things. SQLite reads its file by calls and looks at each page
before it believes it; nothing is mapped into the process, so that a file that is cut short, even
while it is open, is an error and never a signal. (A write-ahead log would map a file, hence the
rollback journal.) And a value is believed only if its checksum, which covers the key and the sizes
too, is right: a tree of pages that leads astray leads to nothing, as for a key that was never kept,
and never to a wrong value.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import xxhash

FILE = "entries.sqlite"
JOURNAL = f"{FILE}-journal"
#: With one of these beside it, SQLite would take the file for one with a write-ahead log.
LOG_FILES = (f"{FILE}-wal", f"{FILE}-shm")

_MARK = int.from_bytes(b"racE")
_VERSION = 2
_PAGE_BYTES = 4096
_TABLE = (
    "CREATE TABLE entries "
    "(number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
)
#: What the catalogue of the database holds: nothing that could be computed, or run.
_CATALOGUE = {
    ("table", "entries", "entries", _TABLE),
    ("index", "sqlite_autoindex_entries_1", "entries", None),
}
_HEADER = b"SQLite format 3\0" + _PAGE_BYTES.to_bytes(2) + b"\1\1"
#: No value is near to this; a damaged length may be anywhere.
_MOST_BYTES = 1 << 24
#: Ends a journal that speaks of further files, which SQLite would look after, or remove. None of
#: ours does.
_SPEAKS_OF_OTHERS = bytes.fromhex("d9d505f920a163d7")
_CHECK_BYTES = 8
#: Of pages that are kept in memory: many rows of a catalogue show the same picture.
_PAGES_KIB = 16 << 10
_TOGETHER = 32
_PATIENCE_S = 5.0


class EntriesFault(Exception):
    """The entries cannot be had, or not be added to; the message says why."""


class EntriesDamaged(EntriesFault):
    """The file is not what we have written."""


class EntriesMoved(EntriesFault):
    """The file is no longer where it was opened: somebody has removed it or set it aside."""


class Entries:
    """Values of one size by keys of 32 bytes; threads and processes may share them.

    A killed writer leaves what it had committed. Close it when it is done with.
    """

    def __init__(self, folder: Path, value_bytes: int) -> None:
        """Open the entries of a cache.

        Args:
            folder: of the cache.
            value_bytes: length of each value.

        Raises:
            EntriesDamaged: there is something else in the place of the file.
            EntriesFault: it cannot be opened.
        """
        self._value_bytes = value_bytes
        self._lock = threading.Lock()
        self._closing = False
        path = folder / FILE
        self.file_number = _look_at(folder)
        with _told():
            self._connection: sqlite3.Connection | None = _connect(path, "rw")
        try:
            with _told():
                self._check_catalogue(self._connection)
        except EntriesFault:
            self.close()
            raise

    @staticmethod
    def create(folder: Path) -> None:
        """Write a file without entries into a folder.

        Raises:
            EntriesFault, OSError: it cannot be written.
        """
        path = folder / FILE
        # SQLite gives its journal the rights of the file.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _told():
            connection = _connect(path, "rw")
            try:
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                connection.execute("BEGIN")
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {_MARK}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("COMMIT")
            finally:
                connection.close()

    def close(self) -> None:
        """Close the file; waits for nobody.

        The collector of garbage may call this in the midst of a thread's own read, which then
        closes the file at its end.
        """
        self._closing = True
        if self._lock.acquire(blocking=False):
            try:
                self._close_now()
            finally:
                self._lock.release()

    def _close_now(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                if self._closing:
                    self._close_now()

    def get(self, keys: Sequence[bytes]) -> tuple[dict[bytes, memoryview], set[bytes]]:
        """Give the values of those keys that are known, and the keys whose values are damaged.

        Raises:
            EntriesFault: the file cannot be read, or not any more.
        """
        with self._held(), _told():
            return self._read(self._opened(), keys)

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Add values, or put them into the place of others, all or none.

        Raises:
            EntriesDamaged: they are not found again.
            EntriesFault: that cannot be done.
        """
        rows = [(key, self._check(key, value) + value) for key, value in values.items()]
        with self._held(), _told():
            connection = self._opened()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT OR REPLACE INTO entries (key, value) VALUES (?, ?)", rows
                )
                # Pages may be sound, each by itself, and in the wrong order.
                if len(self._read(connection, list(values))[0]) < len(values):
                    raise EntriesDamaged(f"{FILE} does not give what was put into it")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def __len__(self) -> int:
        with self._held(), _told():
            return int(self._opened().execute("SELECT count(*) FROM entries").fetchone()[0])

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise EntriesFault("it is closed")
        return self._connection

    def _read(
        self, connection: sqlite3.Connection, keys: Sequence[bytes]
    ) -> tuple[dict[bytes, memoryview], set[bytes]]:
        found: dict[bytes, memoryview] = {}
        damaged: set[bytes] = set()
        wanted, stored_bytes = set(keys), _CHECK_BYTES + self._value_bytes
        for start in range(0, len(keys), _TOGETHER):
            some = keys[start : start + _TOGETHER]
            places = ",".join("?" * len(some))
            query = f"SELECT key, value FROM entries WHERE key IN ({places})"  # noqa: S608 - places only
            for key, stored in connection.execute(query, some).fetchall():
                # What tables declare and queries ask for binds nobody who changes bits.
                if key in wanted and isinstance(stored, bytes) and len(stored) == stored_bytes:
                    value = memoryview(stored)[_CHECK_BYTES:]
                    if stored.startswith(self._check(key, value)):
                        found[key] = value
                        continue
                damaged.add(key)
        return found, damaged

    def _check(self, key: bytes, value: bytes | memoryview) -> bytes:
        """Give the checksum of a value, its key and its size."""
        seed = xxhash.xxh3_64_intdigest(key, seed=self._value_bytes)
        return xxhash.xxh3_64_digest(value, seed=seed)

    def _check_catalogue(self, connection: sqlite3.Connection) -> None:
        marks = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        ]
        if marks != [_MARK, _VERSION]:
            raise EntriesDamaged(f"{FILE} is not marked as a cache of version {_VERSION}")
        names = "SELECT type, name, tbl_name, sql FROM sqlite_master"
        if set(connection.execute(names)) != _CATALOGUE:
            raise EntriesDamaged(f"{FILE} holds other tables than a cache does")
        # A bit makes a text of a blob. Only the checksum says whether it is one of ours.
        connection.text_factory = bytes


def _look_at(folder: Path) -> tuple[int, int]:
    """See that the file is one that SQLite may be let at; give its number and device."""
    try:
        for name in (JOURNAL, *LOG_FILES):
            state = _state(folder / name)
            if state is not None and (name in LOG_FILES or not stat.S_ISREG(state.st_mode)):
                raise EntriesDamaged(f"{name} is not what it should be")
        if _last_bytes(folder / JOURNAL, len(_SPEAKS_OF_OTHERS)) == _SPEAKS_OF_OTHERS:
            raise EntriesDamaged(f"{JOURNAL} speaks of files that are not of this cache")
        state = _state(folder / FILE)
        if state is None or not stat.S_ISREG(state.st_mode):
            raise EntriesDamaged(f"{FILE} is missing or not a plain file")
        with open(folder / FILE, "rb") as handle:
            header = handle.read(len(_HEADER))
    except OSError as error:
        raise EntriesFault(str(error.strerror or error)) from error
    if header != _HEADER:
        raise EntriesDamaged(f"{FILE} does not begin as a cache does")
    return state.st_ino, state.st_dev


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _last_bytes(path: Path, count: int) -> bytes:
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, path.stat().st_size - count))
            return handle.read(count)
    except FileNotFoundError:
        return b""


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_PATIENCE_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    for setting in (
        "trusted_schema = OFF",
        "mmap_size = 0",
        f"cache_size = -{_PAGES_KIB}",
        "cell_size_check = ON",
        "temp_store = MEMORY",
        "journal_mode = TRUNCATE",
        "synchronous = NORMAL",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    return connection


#: By the last eight bits of SQLite's codes. Whatever is not here speaks of the file's contents.
_HINDRANCES = {
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_BUSY: f"another process has held it for {_PATIENCE_S:.0f} s",
    sqlite3.SQLITE_LOCKED: f"another process has held it for {_PATIENCE_S:.0f} s",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_IOERR: "the disk does not read or write it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened, or no file may be made beside it",
}
_DAMAGE = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


@contextmanager
def _told() -> Iterator[None]:
    """Sort what SQLite says into what is to be done about it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_READONLY_DBMOVED:
            raise EntriesMoved("it was moved") from error
        if code is not None and code not in _DAMAGE and code & 0xFF in _HINDRANCES:
            raise EntriesFault(_HINDRANCES[code & 0xFF]) from error
        raise EntriesDamaged(f"{FILE}: {error}") from error
    except UnicodeError as error:
        # The message about a damaged catalogue quotes it.
        raise EntriesDamaged(f"{FILE} holds other tables than a cache does") from error
    except MemoryError as error:
        raise EntriesDamaged(f"{FILE}: a length in it is beyond all measure") from error
