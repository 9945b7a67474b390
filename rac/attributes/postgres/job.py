"""A table in PostgreSQL, filled: snapshot, the usual job, and the cells written back."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.fill import fill_table
from rac.attributes.postgres.address import Address
from rac.attributes.postgres.checks import rehearse, require_schema_fitting
from rac.attributes.postgres.journal import Fills, Journal
from rac.attributes.postgres.journal_table import TableJournal, journal_schema
from rac.attributes.postgres.note import (
    LOG,
    NOTE,
    SNAPSHOT,
    WRITTEN,
    Note,
    new_job,
    read_note,
    was_database_run,
)
from rac.attributes.postgres.reading import image_column, open_snapshot
from rac.attributes.postgres.session import refusals_told, session
from rac.attributes.postgres.shape import TableShape, read_shape, require_writable
from rac.attributes.postgres.snapshot import needed_columns, write_snapshot
from rac.attributes.postgres.statements import cell_batches
from rac.attributes.postgres.undo import opened_journal
from rac.attributes.postgres.write_back import Tally, apply_batch, by_column, give_back
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema
from rac.attributes.summary import FillSummary, WrittenBack
from rac.embedding import EmbeddingCache
from rac.encoders.base import Encoder
from rac.errors import InputError
from rac.images import ImageLimits
from rac.progress import say
from rac.tables import Table
from retrieval_index.files import replace_file, sha256_file

if TYPE_CHECKING:
    import psycopg

# Read anew beside the snapshot, to see whether anything has changed.
_FRESH = "snapshot-now.parquet"


def fill_postgres(
    address: Address,
    schema: Schema,
    encoder: Encoder,
    out: Path,
    options: FillOptions,
    *,
    image: str | None = None,
    key: str | None = None,
    base: Path | None = None,
    cache: EmbeddingCache | None = None,
    image_limits: ImageLimits | None = None,
    journal: str | None = None,
) -> FillSummary:
    """Fill a table of a database; a job that was killed goes on where it was.

    What is written stands in a journal, the table ``rac_journal`` of a schema: each cell with what
    it said before, what was sent and what the database stored. It changes in the transaction of
    the cells. Where the role may keep none, it is a file of the run's folder, which must then not
    be lost.

    A job that was done and is started again looks at the table as it is now. If nothing has changed
    but its own fills, nothing happens. Else it decides anew about every cell that is empty or holds
    its fill, as if the fills were not there: they teach nothing, a fill that is no longer vouched
    for is taken back, and the ledger and ``rac fill undo`` are about all that stands.

    Args:
        address: of the table.
        schema: which attributes.
        encoder: of images and prompts.
        out: the run's folder.
        options: how; with ``dry_run`` nothing is written back.
        image: column of the images; found by its name if None.
        key: column that names a row; the primary key if None.
        base: folder that relative image paths start from.
        cache: of embeddings.
        image_limits: bounds on images.
        journal: schema of the journal, made where it is missing; None for ``rac``.

    Raises:
        InputError: address, table and schema do not fit, a value cannot be stored as it is, undo
            could not give the table back, or the folder holds another job.
        JobFailed: the server does not let us in, or refuses a statement.
    """
    by = _decided_by(schema, encoder, options)
    writes = not options.dry_run
    table = snapshot_table(
        address, schema, out, by, image=image, key=key, base=base, journal=journal, writes=writes
    )
    with RunFolder.locked(out):
        note = _whole_note(out)
    summary = fill_table(
        table,
        schema,
        encoder,
        out,
        replace(options, dry_run=True),
        cache=cache,
        image_limits=image_limits,
        origin={**note.identity, "base": str(base or "")},
    )
    if options.dry_run:
        return summary
    with RunFolder.locked(out) as folder:
        note = _whole_note(out)
        database = _write_back(address, schema, folder, note, by)
        summary = replace(
            summary,
            dry_run=False,
            cells_written=database.cells,
            database=database,
            files={**summary.files, "written": str(out / WRITTEN)},
        )
        folder.write_run({**folder.run(), "summary": summary.as_json()})
        note.finished = True
        note.save(out)
        folder.note("done", cells_written=database.cells)
    return summary


def plan_table(
    address: Address,
    schema: Schema,
    encoder: Encoder,
    out: Path,
    options: FillOptions,
    *,
    image: str | None = None,
    key: str | None = None,
    base: Path | None = None,
) -> Table:
    """Give the table that :func:`fill_postgres` would decide about; arguments as there."""
    by = _decided_by(schema, encoder, options)
    return snapshot_table(
        address, schema, out, by, image=image, key=key, base=base, journal=None, writes=False
    )


def _decided_by(schema: Schema, encoder: Encoder, options: FillOptions) -> list[Any]:
    return [schema.hash, encoder.identity, options.seed, options.confidence, options.limit]


def snapshot_table(
    address: Address,
    schema: Schema,
    out: Path,
    by: Sequence[Any],
    *,
    image: str | None,
    key: str | None,
    base: Path | None,
    journal: str | None,
    writes: bool,
) -> Table:
    """Give the job's columns of a table as a file in the run's folder, read now or before.

    Args:
        address: of the table.
        schema: which attributes.
        out: the run's folder.
        by: what the decisions follow from, besides the table; the fills of another job must be
            taken back before this folder can be used for it.
        image: column of the images.
        key: column that names a row.
        base: folder that relative image paths start from.
        journal: schema of the journal; None for ``rac``.
        writes: whether the job is to write: what cannot be written is refused now, then.

    Raises:
        InputError: the table does not fit, or the folder holds another job, or not all of one.
        JobFailed: the server refuses, or the journal is gone.
    """
    with session(address, "reading the table") as connection:
        shape = read_shape(connection, address, key)
        found = image_column(shape, image, address)
        columns = needed_columns(shape, [found, *schema.looked_at], address)
        if writes:
            cells = [one.column for one in schema.attributes.values()]
            require_writable(connection, address, shape, cells)
            require_schema_fitting(connection, address, shape, schema)
        with RunFolder.locked(out) as folder:
            note = _note_for(out, address, shape)
            _choose_journal(connection, shape, out, note, journal)
            if note.applied is not None:
                _require_snapshot(out, note, by, columns)
            connection.rollback()
            if note.applied is None:
                # What is not written back yet may be decided about the table as it is now.
                with _journal_so_far(connection, folder, note, shape) as kept:
                    _begin(connection, shape, columns, out, note, kept)
            elif note.finished:
                with opened_journal(connection, folder, note, shape.relation) as kept:
                    _begin_again(connection, shape, columns, out, note, kept)
    return open_snapshot(address, out / SNAPSHOT, found, shape.key, base)


def _whole_note(out: Path) -> Note:
    note = read_note(out)
    if note is None:
        raise InputError(f"{out / NOTE} is gone; somebody removed it while the job ran")
    return note


def _note_for(out: Path, address: Address, shape: TableShape) -> Note:
    """Give the note of a folder's job, or of a new one where the folder holds none."""
    note = read_note(out)
    if note is None and was_database_run(out):
        raise InputError(
            f"{out / NOTE} is gone, or of an older version; it says what the job in this folder "
            f"has written into the database. Take that back first (rac fill undo {out}), or give "
            "another folder"
        )
    if note is None or note.undone:
        for name in (LOG, SNAPSHOT, WRITTEN):
            # Of an undo that was cut off at its end.
            (out / name).unlink(missing_ok=True)
        note = Note(address=str(address), key=shape.key, job=new_job(), journal=None)
    if note.address != str(address):
        raise InputError(f"{out}: this folder holds a job on {note.address}")
    if note.key != shape.key:
        raise InputError(f"{out}: this folder holds a job that names rows by {note.key!r}")
    return note


def _choose_journal(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    out: Path,
    note: Note,
    asked: str | None,
) -> None:
    """Settle where the journal is, unless something of the job stands in one."""
    if note.applied is None and not note.standing and not note.lines:
        note.journal, _ = journal_schema(connection, asked, shape.relation)
        # Before anything else: who finds a file of the job finds what it is.
        note.save(out)
    elif asked is not None and asked != note.journal:
        where = f"in the schema {note.journal!r}" if note.journal else f"the file {out / LOG}"
        raise InputError(
            f"{out}: the journal of this job is {where}, and cannot be moved while its fills stand"
        )


def _require_snapshot(out: Path, note: Note, by: Sequence[Any], columns: Sequence[str]) -> None:
    """Refuse to go on where the decisions are not about what was read of the table."""
    path = out / SNAPSHOT
    advice = f"take them back first (rac fill undo {out}), or give another folder"
    if not path.is_file() or sha256_file(path) != note.snapshot:
        raise InputError(
            f"{path} is gone or damaged, which is what the job had read of the table when it "
            f"decided, and its fills are in the database; {advice}"
        )
    if note.applied != list(by) or pq.read_schema(path).names != list(columns):
        raise InputError(f"{out}: fills from this folder are in the database; {advice}")


@contextmanager
def _journal_so_far(
    connection: psycopg.Connection[Any], folder: RunFolder, note: Note, shape: TableShape
) -> Iterator[Journal]:
    """Give the journal of a job that may have written nothing yet, with the fills of others."""
    if note.journal is None or note.standing:
        with opened_journal(connection, folder, note, shape.relation) as journal:
            yield journal
    else:
        yield TableJournal(note.journal, shape.relation, note.key, note.job)


def _begin(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    out: Path,
    note: Note,
    journal: Journal,
) -> None:
    """Read the table for a run of which nothing is written back yet."""
    path = out / SNAPSHOT
    fills = partial(journal.fills, connection)
    note.others = write_snapshot(connection, shape, columns, path, fills, note.job).others
    note.snapshot = sha256_file(path)
    note.save(out)


def _begin_again(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    out: Path,
    note: Note,
    journal: Journal,
) -> None:
    """Begin anew where a run was finished, if the table has changed otherwise than by its fills."""
    fresh = out / _FRESH
    fills: dict[str, Fills] = {}

    def at_that_moment() -> Fills:
        fills["all"] = journal.fills(connection)
        return fills["all"]

    held = write_snapshot(connection, shape, columns, fresh, at_that_moment, note.job)
    own = sum(one.job == note.job for cells in fills["all"].values() for one in cells.values())
    unchanged = (held.own, held.others) == (own, note.others) and filecmp.cmp(
        fresh, out / SNAPSHOT, shallow=False
    )
    fresh.unlink()
    if not unchanged:
        note.run += 1
        note.applied, note.finished = None, False
        note.save(out)
        _begin(connection, shape, columns, out, note, journal)


def _write_back(
    address: Address, schema: Schema, folder: RunFolder, note: Note, by: Sequence[Any]
) -> WrittenBack:
    tally = Tally()
    with session(address, "writing back") as connection:
        shape = read_shape(connection, address, note.key)
        columns = [one.column for one in schema.attributes.values()]
        require_writable(connection, address, shape, columns)
        connection.rollback()
        decided = folder.whole_ledger()
        rehearsed = rehearse(connection, address, shape, cell_batches(decided, schema))
        connection.rollback()
        if note.journal is None:
            _, reason = journal_schema(connection, None, shape.relation)
            connection.rollback()
            say(
                f"what is written into the database is kept in {folder.path / LOG} alone"
                f"{f', for {reason}' if reason else ''}; undo needs that file"
            )
        else:
            TableJournal(note.journal, shape.relation, note.key, note.job).create(connection)
        # From now on there may be fills in the table, and a journal there must be.
        note.applied = list(by)
        note.save(folder.path)
        with opened_journal(connection, folder, note, shape.relation) as journal:
            for batch in cell_batches(decided, schema):
                with refusals_told(address, f"column {batch.column!r}"):
                    apply_batch(connection, shape, batch, journal, note.run, tally)
                folder.note("writing back", batch=batch.name)
            # Fills of the run before that are not vouched for any more.
            for entries in journal.newest_first(connection, before_run=note.run):
                for some in by_column(entries):
                    with refusals_told(address, f"column {some[0].column!r}"):
                        journal.begin(connection)
                        give_back(connection, shape, some)
                        journal.commit(connection, gone=some)
            _write_entries(journal.fills(connection), note.job, folder.path / WRITTEN)
            connection.rollback()
            where = journal.where
    return WrittenBack(
        cells=tally.written,
        stored_otherwise=tally.otherwise,
        examples=[
            {"column": one.column, "key": one.key, "sent": one.sent, "stored": one.stored}
            for one in tally.stored_examples
        ],
        left=tally.left,
        left_examples=[{"column": column, "key": key} for column, key in tally.left_examples],
        refused=tally.refused,
        refused_examples=[
            {"column": column, "key": key, "error": said}
            for column, key, said in tally.refused_examples
        ],
        other_runs=note.others,
        side_effects=list(rehearsed.side_effects),
        journal=where,
    )


def _write_entries(fills: Fills, job: str, path: Path) -> None:
    """Write every cell that holds a fill of the job, as the database has it."""
    found = [one for cells in fills.values() for one in cells.values() if one.job == job]
    found.sort(key=lambda one: (one.column, one.key))
    names = ("column", "key", "before", "sent", "stored")
    with replace_file(path) as draft:
        columns = {
            name: pa.array([getattr(one, name) for one in found], pa.string()) for name in names
        }
        pq.write_table(pa.table(columns), draft)
