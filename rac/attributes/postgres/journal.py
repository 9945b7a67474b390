"""What a job has written into a table, cell by cell: the record that undo goes by.

A journal holds one entry for each cell that a job has set and not given back. It changes together
with the cells, in one transaction, so that it never says something else than the table did when
the transaction ended, at whatever instant a job is killed or cut off.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Entry:
    """A cell that a job has set.

    Attributes:
        column: of the table.
        key: of the row, as text.
        before: what the cell said; None for NULL.
        sent: what it was to say.
        stored: what it said at the end of the transaction; a trigger may have had its way.
        run: which of the job's runs has decided so.
        job: whose it is.
        taken_over: whether another job has written the cell since; then it is no more this one's.
    """

    column: str
    key: str
    before: str | None
    sent: str
    stored: str | None
    run: int
    job: str = ""
    taken_over: bool = False


Fills = Mapping[str, Mapping[str, Entry]]
"""For each column, by the row's key, the fills that may stand in a table."""


class Journal(ABC):
    """The entries of one job.

    Attributes:
        where: how a person finds it.
        of_all: whether it has the entries of all jobs on a table, and not of one.
    """

    where: str
    of_all: bool = False

    @abstractmethod
    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Begin a transaction in which entries are read or changed.

        It waits for one of a process of the same job that was killed and that the server has not
        ended yet.
        """

    @abstractmethod
    def count(self, connection: psycopg.Connection[Any]) -> int:
        """Give how many entries there are; cells that another job has written since included."""

    @abstractmethod
    def fills(self, connection: psycopg.Connection[Any]) -> Fills:
        """Give the fills in the job's table, those of other jobs too where they are known."""

    @abstractmethod
    def entries(
        self, connection: psycopg.Connection[Any], column: str, keys: Sequence[str]
    ) -> dict[str, Entry]:
        """Give the job's entries of some rows, by their key."""

    @abstractmethod
    def newest_first(
        self,
        connection: psycopg.Connection[Any],
        *,
        before_run: int | None = None,
        column: str | None = None,
    ) -> Iterator[list[Entry]]:
        """Give all entries, those of earlier runs, or those of a column; the newest first.

        They come some at a time. Who asks for the next ones has committed those before as gone.
        """

    @abstractmethod
    def texts_before(self, connection: psycopg.Connection[Any], column: str) -> list[str]:
        """Give the different texts that the cells of a column said before."""

    @abstractmethod
    def columns(self, connection: psycopg.Connection[Any]) -> dict[str, int]:
        """Give how many entries each column has."""

    @abstractmethod
    def commit(
        self,
        connection: psycopg.Connection[Any],
        written: Sequence[Entry] = (),
        gone: Sequence[Entry] = (),
    ) -> None:
        """End the open transaction, and with it change the entries.

        Args:
            connection: in whose transaction the cells were set.
            written: entries that are new, or say something else than before.
            gone: entries of cells that were given back, or are somebody else's now.
        """

    def rolled_back(self) -> None:  # noqa: B027 - what lies in the database needs nothing
        """Hear that the server has refused the open transaction and kept nothing of it."""
