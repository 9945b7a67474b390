"""Writing fills into the database, and giving cells back as they were.

Cells are set in small transactions, each only where the cell is still what it was when the run
read it, and each together with its entries in the journal. What a cell holds afterwards is read,
not assumed: a trigger may have changed it, and undo goes by what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.journal import Entry, Journal
from rac.attributes.postgres.shape import TableShape
from rac.attributes.postgres.statements import CellBatch, set_cells, texts_of
from rac.errors import JobFailed

if TYPE_CHECKING:
    import psycopg

_EXAMPLES = 3
_MOST_REFUSED = 1000
# SQLSTATE classes of errors about what is to be stored: data exceptions, violated constraints, and
# what triggers raise themselves. https://www.postgresql.org/docs/current/errcodes-appendix.html
_ABOUT_THE_CELL = ("22", "23", "P0")


@dataclass
class Tally:
    """What became of the cells that a run wanted set.

    Attributes:
        written: cells that were set.
        otherwise: those of them that the database stored otherwise than they were sent.
        left: cells that were not set, since they were not as read any more, or since the database
            lets nobody set them without an error.
        refused: cells that the database refuses to hold, each with an error of its own; they stay
            as they were.
        stored_examples: some of ``otherwise``.
        left_examples: columns and keys of some of ``left``.
        refused_examples: columns, keys and errors of some of ``refused``.
    """

    written: int = 0
    otherwise: int = 0
    left: int = 0
    refused: int = 0
    stored_examples: list[Entry] = field(default_factory=list)
    left_examples: list[tuple[str, str]] = field(default_factory=list)
    refused_examples: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, entries: Sequence[Entry], column: str, left: Sequence[str]) -> None:
        """Count what one transaction did."""
        odd = [one for one in entries if one.stored != one.sent]
        self.written += len(entries)
        self.otherwise += len(odd)
        self.left += len(left)
        self.stored_examples = (self.stored_examples + odd)[:_EXAMPLES]
        self.left_examples = (self.left_examples + [(column, key) for key in left])[:_EXAMPLES]

    def refuse(self, column: str, key: str, said: str) -> None:
        """Count a cell that the database refuses.

        Raises:
            JobFailed: it is one too many: this is no matter of single rows.
        """
        self.refused += 1
        self.refused_examples = [*self.refused_examples, (column, key, said)][:_EXAMPLES]
        if self.refused > _MOST_REFUSED:
            raise JobFailed(
                f"column {column!r}: the database refuses more than {_MOST_REFUSED:,} cells; the "
                f"last is that of row {key!r}: {said}"
            )


def apply_batch(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    batch: CellBatch,
    journal: Journal,
    run: int,
    tally: Tally,
) -> None:
    """Write a batch where its cells are as they were, or hold an earlier run's fill.

    Cells that the journal has under this run are done: written by it before it was killed, and
    perhaps changed by somebody since. Where the database refuses a batch, its halves are written
    one after the other, down to the single cells that it refuses: these are left and counted.

    Args:
        connection: to the server.
        shape: of the table.
        batch: to write.
        journal: of the job.
        run: which of the job's runs this is.
        tally: counts what was done.

    Raises:
        JobFailed: a row is not there any more once a cell of it was set, or very many cells are
            refused.
    """
    import psycopg

    try:
        _apply_whole(connection, shape, batch, journal, run, tally)
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in _ABOUT_THE_CELL:
            raise
        connection.rollback()
        journal.rolled_back()
        if len(batch.keys) == 1:
            tally.refuse(batch.column, batch.keys[0], str(error).strip())
            return
        for half in batch.halves():
            apply_batch(connection, shape, half, journal, run, tally)


def _apply_whole(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    batch: CellBatch,
    journal: Journal,
    run: int,
    tally: Tally,
) -> None:
    journal.begin(connection)
    earlier = journal.entries(connection, batch.column, batch.keys)
    cells = [
        cell
        for cell in zip(batch.keys, batch.before, batch.values, strict=True)
        if cell[0] not in earlier or earlier[cell[0]].run != run
    ]
    if not cells:
        connection.rollback()
        return
    fills = [(earlier[key], value) for key, _, value in cells if key in earlier]
    set_now = set_cells(connection, shape, batch.column, cells)
    set_now |= set_cells(
        connection,
        shape,
        batch.column,
        [
            (one.key, one.stored, value)
            for one, value in fills
            if one.sent != value and one.key not in set_now
        ],
    )
    stored = texts_of(connection, shape, batch.column, [key for key, _, _ in cells])
    written = []
    for key, before, value in cells:
        if key in set_now:
            if key not in stored:
                raise JobFailed(
                    f"{shape.relation}, column {batch.column!r}: the row {key!r} is gone once the "
                    "cell is set (a trigger?); that transaction was rolled back"
                )
            written.append(Entry(batch.column, key, before, value, stored[key], run))
    kept = [
        replace(one, run=run)
        for one, value in fills
        if one.key not in set_now
        and one.sent == value
        and one.key in stored
        and stored[one.key] == one.stored
    ]
    journal.commit(connection, written=[*written, *kept])
    done = set_now | {one.key for one in kept}
    tally.add(written, batch.column, [key for key, _, _ in cells if key not in done])


def give_back(
    connection: psycopg.Connection[Any], shape: TableShape, entries: Sequence[Entry]
) -> int:
    """Set cells back where they hold their fill; give how many were set.

    The transaction stays open; who ends it forgets the entries in it.

    Args:
        connection: to the server.
        shape: of the table.
        entries: of one column. Cells that hold something else by now are somebody else's.

    Raises:
        JobFailed: the database makes something else of what a cell said before.
    """
    column = entries[0].column
    before = {one.key: one.before for one in entries if not one.taken_over}
    cells = [(one.key, one.stored, one.before) for one in entries if not one.taken_over]
    set_back = set_cells(connection, shape, column, cells)
    now = texts_of(connection, shape, column, set_back)
    for key in set_back:
        if key not in now or now[key] != before[key]:
            raise JobFailed(
                f"{shape.relation}, column {column!r}: the row {key!r} said {before[key]!r} before "
                f"it was filled, and the database makes {now.get(key)!r} of it (a trigger?); that "
                "transaction was rolled back. Let the owner disable the trigger for the undo"
            )
    return len(set_back)


def by_column(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Give entries in runs of one column, in their order."""
    for _, some in groupby(entries, key=lambda one: one.column):
        yield list(some)
