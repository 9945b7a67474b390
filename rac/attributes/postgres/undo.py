"""Taking fills out of the database again, by what the journal says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.checks import require_fitting
from rac.attributes.postgres.journal import Journal
from rac.attributes.postgres.journal_file import FileJournal
from rac.attributes.postgres.journal_table import (
    DEFAULT_SCHEMA,
    TABLE,
    TableJournal,
    journal_keys,
)
from rac.attributes.postgres.note import (
    LOG,
    NOTE,
    SNAPSHOT,
    STANDING,
    WRITTEN,
    Note,
    note_of_run,
    read_note,
)
from rac.attributes.postgres.older_runs import older_fills
from rac.attributes.postgres.session import refusals_told, session
from rac.attributes.postgres.shape import TableShape, read_shape, require_writable
from rac.attributes.postgres.write_back import by_column, give_back
from rac.attributes.run_folder import RunFolder
from rac.errors import InputError, JobFailed

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class TakenBack:
    """What was taken out of a database.

    Attributes:
        table: its address.
        cells: cells that were set back.
        kept: cells that the run had filled and somebody has changed since; they stay changed.
        already: whether nothing of the run is there to be taken back: it never wrote, or was
            taken back before.
    """

    table: str
    cells: int
    kept: int
    already: bool = False


@contextmanager
def opened_journal(
    connection: psycopg.Connection[Any], folder: RunFolder, note: Note, relation: str
) -> Iterator[Journal]:
    """Give the journal of a job, where it has written something or may have.

    Raises:
        InputError: the one in the folder is gone or damaged.
        JobFailed: the one in the database is gone, or has lost entries.
    """
    if note.journal is None:
        kept = FileJournal(folder.path, note)
        try:
            kept.settle(connection)
            yield kept
        finally:
            kept.close()
        return

    def noted(count: int) -> None:
        note.standing = count
        note.save(folder.path)

    journal = TableJournal(note.journal, relation, note.key, note.job, noted)
    journal.require(connection)
    journal.begin(connection)
    count = journal.count(connection)
    connection.rollback()
    if count < note.standing:
        raise JobFailed(
            f"{journal.where} has {count:,} entries of this run, which wrote {note.standing:,} "
            "cells or more. Put them back from a backup of the database; where the fills were "
            f"taken back by the table's address, give another folder than {folder.path}"
        )
    yield journal


def undo_postgres(folder: RunFolder, column: str | None = None) -> TakenBack:
    """Take a run's fills out of the database, where they still are.

    Whether all of it can be done is looked at first. Then it is done in small transactions; one
    that was cut off goes on where it was.

    Args:
        folder: of the run, held by this process. ``run.json`` or ``postgres.json`` suffices where
            the journal is in the database.
        column: only the cells of this column; None for all.

    Raises:
        InputError: the folder does not say what was written, or the table does not fit any more.
        JobFailed: the server refuses, or the journal is gone.
    """
    try:
        note = read_note(folder.path)
        found_note = note is not None
    except InputError:
        note = note_of_run(folder.path)
        if note is None or note.journal is None:
            raise
        found_note = False
    if note is None:
        note = note_of_run(folder.path)
    if note is None:
        return _undo_older(folder, folder.run())
    if note.journal is None and not found_note:
        raise InputError(
            f"{folder.path / NOTE} is gone, without which nobody can tell whether "
            f"{folder.path / LOG} is whole; put it back from a backup"
        )
    wrote = note.applied is not None or note.standing or note.lines
    if note.undone or (found_note and not wrote):
        return TakenBack(note.address, 0, 0, already=True)
    address = Address.parse(note.address)
    with session(address, "taking fills back") as connection:
        shape = read_shape(connection, address, note.key)
        connection.rollback()
        with opened_journal(connection, folder, note, shape.relation) as journal:
            if not found_note and not journal.count(connection):
                raise JobFailed(
                    f"{folder.path / NOTE} is gone or damaged, and {journal.where} has nothing of "
                    "this run: nobody can tell whether it has written anything"
                )
            taken = _take_back(connection, address, shape, journal, column)
            left = journal.count(connection)
            connection.rollback()
    if left:
        note.save(folder.path)
        return taken
    whole = note.model_copy(
        update={
            "undone": True,
            "applied": None,
            "finished": False,
            "standing": 0,
            "lines": 0,
            "chain": "",
        }
    )
    whole.save(folder.path)
    for name in (LOG, SNAPSHOT, WRITTEN):
        (folder.path / name).unlink(missing_ok=True)
    return taken


def undo_table(address: Address, journal_schema: str | None = None) -> TakenBack:
    """Take every fill out of a table that the journal in its database knows of, whoever wrote it.

    It is for runs whose folders are lost.

    Args:
        address: of the table.
        journal_schema: of the journal; None for ``rac``.

    Raises:
        InputError: there is no journal, or nothing of the table in it.
        JobFailed: the server refuses.
    """
    schema = journal_schema or DEFAULT_SCHEMA
    with session(address, "taking fills back") as connection:
        relation = read_shape(connection, address, None).relation
        keys = journal_keys(connection, schema, relation)
        if not keys:
            raise InputError(
                f"{address}: the journal {schema}.{TABLE} knows of no fills in it; another one is "
                "named with --journal-schema, and a run whose journal is in its folder is taken "
                "back by that"
            )
        cells = kept = 0
        for key in keys:
            shape = read_shape(connection, address, key)
            journal = TableJournal(schema, shape.relation, key, None)
            taken = _take_back(connection, address, shape, journal)
            cells, kept = cells + taken.cells, kept + taken.kept
    return TakenBack(str(address), cells, kept)


def _take_back(
    connection: psycopg.Connection[Any],
    address: Address,
    shape: TableShape,
    journal: Journal,
    column: str | None = None,
) -> TakenBack:
    journal.begin(connection)
    counts = journal.columns(connection)
    if column is not None and column not in counts:
        raise InputError(f"{address}: the run has filled no cell of a column {column!r}")
    wanted = [column] if column is not None else list(counts)
    refused: dict[str, Exception] = {}
    for name in wanted:
        try:
            require_writable(connection, address, shape, [name])
            require_fitting(
                connection, address, shape, name, journal.texts_before(connection, name)
            )
        except (InputError, JobFailed) as error:
            refused[name] = error
    connection.rollback()
    if refused:
        first = next(iter(refused.values()))
        others = [
            f"rac fill undo RUN --column {name!r} ({counts[name]:,} cells)"
            for name in wanted
            if name not in refused
        ]
        cells = sum(counts[name] for name in refused)
        raise type(first)(
            f"{first}. Nothing is set back: {cells:,} cells cannot be"
            + (f"; these can: {', '.join(others)}" if others else "")
        )
    done = kept = taken_over = 0
    for entries in journal.newest_first(connection, column=column):
        for some in by_column(entries):
            with refusals_told(address, f"column {some[0].column!r}"):
                journal.begin(connection)
                cells = give_back(connection, shape, some)
                journal.commit(connection, gone=some)
            done += cells
            kept += len(some) - cells
            taken_over += sum(one.taken_over for one in some)
    # Of all jobs together, what one has taken over from another is counted with the other.
    return TakenBack(str(address), done, kept - taken_over if journal.of_all else kept)


def _undo_older(folder: RunFolder, run: Mapping[str, Any]) -> TakenBack:
    address = Address.parse(str(run["options"]["postgres"]))
    undone = listed = 0
    with session(address, "taking fills back") as connection:
        shape = read_shape(connection, address, str(run["options"]["key"]))
        connection.rollback()
        fills = list(older_fills(folder, run))
        require_writable(connection, address, shape, list({one[0].column for one in fills}))
        for entries in fills:
            with refusals_told(address, f"column {entries[0].column!r}"):
                undone += give_back(connection, shape, entries)
                connection.commit()
            listed += len(entries)
    for name in (LOG, SNAPSHOT, STANDING, NOTE):
        (folder.path / name).unlink(missing_ok=True)
    return TakenBack(str(address), undone, listed - undone)
