"""The journal as a file of the run's folder, where the role may keep none in the database.

``applied.jsonl`` says before each transaction commits what it has changed and by which number the
server knows it, and afterwards that it went through. Of one that a kill left open the server is
asked. How many lines there are, and their checksum, stands in ``postgres.json``: a file that has
lost some is refused, and never read as if nothing had been written.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.journal import Entry, Fills, Journal
from rac.attributes.postgres.note import LOG, WRITTEN, Note
from rac.errors import InputError, JobFailed

if TYPE_CHECKING:
    import psycopg

_AT_A_TIME = 1000
_SECONDS_TO_END = 30.0
_RUN_NOT_KNOWN = 0
_COMMITTED, _ABORTED, _NOT_KNOWN = "committed", "aborted", "not known"


class FileJournal(Journal):
    """The entries of a job in its folder; one process at a time.

    Args:
        folder: of the run.
        note: of the job; what it says of the file is kept up to date.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, folder: Path, note: Note) -> None:
        path = folder / LOG
        self.where = str(path)
        self._folder = folder
        self._note = note
        self._entries: dict[tuple[str, str], Entry] = {}
        self._open: dict[str, Any] | None = None
        if path.is_symlink():
            raise InputError(f"{path} is a link, which is not followed; put the file in its place")
        data = b""
        if path.exists():
            data = path.read_bytes()
        # A line that was cut off by a kill is of a transaction that was never committed.
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        self._check(lines)
        for number, line in enumerate(lines, 1):
            self._read(number, line)
        self._file = open(path, "ab", opener=_private)  # noqa: SIM115 - closed by close()
        self._file.truncate(sum(map(len, lines)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def settle(self, connection: psycopg.Connection[Any]) -> None:
        """Ask the server what became of a transaction that a kill left open.

        Raises:
            JobFailed: it is still at work.
        """
        if self._open is None:
            return
        end = time.monotonic() + _SECONDS_TO_END
        while (status := _status(connection, self._open["transaction"])) == "in progress":
            if time.monotonic() > end:
                raise JobFailed(
                    f"{self.where}: transaction {self._open['transaction']} of a job that was "
                    "killed is still at work in the database; wait for its end, and run it again"
                )
            time.sleep(0.1)
        # What the server has forgotten is told by the cells.
        self._end({"committed": _COMMITTED, "aborted": _ABORTED}.get(str(status), _NOT_KNOWN))

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Do nothing: what a killed process left open is settled before."""

    def count(self, connection: psycopg.Connection[Any]) -> int:
        """Give how many entries there are."""
        return len(self._entries)

    def columns(self, connection: psycopg.Connection[Any]) -> dict[str, int]:
        """Give how many entries each column has."""
        return dict(sorted(Counter(column for column, _ in self._entries).items()))

    def fills(self, connection: psycopg.Connection[Any]) -> Fills:
        """Give the fills that may stand in the table."""
        found: dict[str, dict[str, Entry]] = {}
        for entry in self._entries.values():
            found.setdefault(entry.column, {})[entry.key] = entry
        return found

    def entries(
        self, connection: psycopg.Connection[Any], column: str, keys: Sequence[str]
    ) -> dict[str, Entry]:
        """Give the job's entries of some rows, by their key."""
        return {key: self._entries[column, key] for key in keys if (column, key) in self._entries}

    def newest_first(
        self,
        connection: psycopg.Connection[Any],
        *,
        before_run: int | None = None,
        column: str | None = None,
    ) -> Iterator[list[Entry]]:
        """Give entries, some at a time, the newest first."""
        found = [
            entry
            for entry in reversed(self._entries.values())
            if (before_run is None or entry.run < before_run) and column in (None, entry.column)
        ]
        for start in range(0, len(found), _AT_A_TIME):
            yield found[start : start + _AT_A_TIME]

    def texts_before(self, connection: psycopg.Connection[Any], column: str) -> list[str]:
        """Give the different texts that the cells of a column said before."""
        mine = [one.before for one in self._entries.values() if one.column == column]
        return list(dict.fromkeys(text for text in mine if text is not None))

    def commit(
        self,
        connection: psycopg.Connection[Any],
        written: Sequence[Entry] = (),
        gone: Sequence[Entry] = (),
    ) -> None:
        """End the open transaction, and with it change the entries."""
        # The file says that it went through only when the server cannot lose it any more.
        connection.execute("SET LOCAL synchronous_commit = on")
        row = connection.execute("SELECT txid_current()").fetchone()
        self._open = {
            "transaction": row[0] if row else None,
            "written": [
                [one.column, one.key, one.before, one.sent, one.stored, one.run] for one in written
            ],
            "gone": [[one.column, one.key] for one in gone],
        }
        self._append(self._open)
        self._note.save(self._folder)
        connection.commit()
        self._end(_COMMITTED)

    def rolled_back(self) -> None:
        """Hear that the server has refused the open transaction and kept nothing of it."""
        if self._open is not None:
            self._end(_ABORTED)

    def _end(self, outcome: str) -> None:
        assert self._open is not None  # noqa: S101 - who calls has opened one
        change, self._open = self._open, None
        self._append({"transaction": change["transaction"], "outcome": outcome})
        self._apply(change, outcome)

    def _apply(self, change: dict[str, Any], outcome: str) -> None:
        if outcome == _ABORTED:
            return
        for column, key, before, sent, stored, run in change["written"]:
            known = run if outcome == _COMMITTED else _RUN_NOT_KNOWN
            entry = Entry(column, key, before, sent, stored, known, self._note.job)
            self._entries[column, key] = entry
        if outcome == _COMMITTED:
            for column, key in change["gone"]:
                self._entries.pop((column, key), None)

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps(content).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.where) from error
        self._note.lines += 1
        self._note.chain = _chained(self._note.chain, line)

    def _check(self, lines: Sequence[bytes]) -> None:
        chain = ""
        for line in lines[: self._note.lines]:
            chain = _chained(chain, line)
        if len(lines) < self._note.lines or chain != self._note.chain:
            what = "damaged" if lines else "gone or empty"
            raise InputError(
                f"{self.where} is {what}: it had {self._note.lines} lines or more, which say what "
                f"the job has written into {self._note.address}. Put it back from a backup; "
                "without it nobody can tell which cells hold fills (where the job was finished, "
                f"{self._folder / WRITTEN} lists them)"
            )
        for line in lines[self._note.lines :]:
            chain = _chained(chain, line)
        self._note.lines, self._note.chain = len(lines), chain

    def _read(self, number: int, line: bytes) -> None:
        try:
            content = json.loads(line)
            if "outcome" not in content:
                self._open = content
                return
            if self._open is None or content["transaction"] != self._open["transaction"]:
                raise ValueError("its transaction was not announced")
            change, self._open = self._open, None
            self._apply(change, content["outcome"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{self.where}, line {number}: it is damaged ({error}); put the file back from a "
                "backup"
            ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _chained(chain: str, line: bytes) -> str:
    return hashlib.sha256(chain.encode() + line).hexdigest()


def _status(connection: psycopg.Connection[Any], transaction: int) -> str | None:
    """Ask for ``committed``, ``aborted`` or ``in progress``; None where the server cannot tell."""
    import psycopg

    try:
        row = connection.execute("SELECT txid_status(%s::bigint)", (transaction,)).fetchone()
    except psycopg.errors.InvalidParameterValue:
        # A number of the future: the server was set up anew since.
        row = None
    connection.rollback()
    return None if row is None else row[0]
