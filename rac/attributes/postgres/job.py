"""A table in PostgreSQL, filled: snapshot, the usual job, and the cells written back."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from rac.attributes.fill import fill_table
from rac.attributes.postgres.address import Address, TableShape, read_shape
from rac.attributes.postgres.reading import image_column, open_snapshot
from rac.attributes.postgres.snapshot import needed_columns, write_snapshot
from rac.attributes.postgres.standing import read_standing, standing_of, write_standing
from rac.attributes.postgres.write_back import (
    AppliedLog,
    apply_batch,
    cell_batches,
    revert_batch,
    revert_fills,
)
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder, read_json, write_json
from rac.attributes.schema import Schema
from rac.attributes.summary import FillSummary
from rac.attributes.undo import schema_of
from rac.embedding import EmbeddingCache
from rac.encoders.base import Encoder
from rac.errors import InputError, JobFailed
from rac.images import ImageLimits
from rac.tables import Table

if TYPE_CHECKING:
    import psycopg

_NOTE = "postgres.json"
_SNAPSHOT = "snapshot.parquet"
_LOG = "applied.jsonl"
_STANDING = "standing.parquet"


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
) -> FillSummary:
    """Fill a table of a database; a job that was killed goes on where it was.

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

    Raises:
        InputError: address, table and schema do not fit, or the folder holds another job.
        JobFailed: the server does not let us in, or refuses a statement.
    """
    by = _decided_by(schema, encoder, options)
    table = snapshot_table(address, schema, out, by, image=image, key=key, base=base)
    summary = fill_table(
        table,
        schema,
        encoder,
        out,
        replace(options, dry_run=True),
        cache=cache,
        image_limits=image_limits,
        origin={"postgres": str(address), "key": table.roles.id, "base": str(base or "")},
    )
    if options.dry_run:
        return summary
    with RunFolder.locked(out) as folder:
        write_json(out / _NOTE, {**read_json(out / _NOTE), "applied": by})
        written = _write_back(address, key, schema, folder)
        summary = replace(summary, dry_run=False, cells_written=written)
        folder.write_run({**folder.run(), "summary": summary.as_json()})
        write_json(out / _NOTE, {**read_json(out / _NOTE), "finished": True})
        (out / _STANDING).unlink(missing_ok=True)
        folder.note("done", cells_written=written)
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
    return snapshot_table(address, schema, out, by, image=image, key=key, base=base)


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

    Raises:
        InputError: the table does not fit, or the folder holds another job.
    """
    path = out / _SNAPSHOT
    with closing(address.connect()) as connection:
        shape = read_shape(connection, address, key)
        found = image_column(shape, image, address)
        columns = needed_columns(shape, [found, *schema.looked_at], address)
        with RunFolder.locked(out):
            note = read_json(out / _NOTE)
            if note and note.get("address") != str(address):
                raise InputError(f"{out}: this folder holds a job on {note.get('address')}")
            applied = note.get("applied")
            there = path.exists() and pq.read_schema(path).names == columns
            if applied not in (None, list(by)) or (applied is not None and not there):
                raise InputError(
                    f"{out}: fills from this folder are in the database; take them back first "
                    f"(rac fill undo {out}), or give another folder"
                )
            if applied is None:
                # What is not written back yet may be decided about the table as it is now.
                _begin(connection, shape, columns, out, str(address))
            elif note.get("finished"):
                _begin_again(connection, shape, columns, schema, out, str(address))
    return open_snapshot(address, path, found, shape.key, base)


def _begin(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    out: Path,
    address: str,
) -> None:
    """Read the table for a run of which nothing is written back yet."""
    write_json(out / _NOTE, {"address": address})
    (out / _LOG).unlink(missing_ok=True)
    write_snapshot(connection, shape, columns, out / _SNAPSHOT, read_standing(out / _STANDING))


def _begin_again(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    columns: Sequence[str],
    schema: Schema,
    out: Path,
    address: str,
) -> None:
    """Begin anew where a run was finished, if the table has changed otherwise than by its fills."""
    with closing(AppliedLog(out / _LOG)) as log:
        standing = standing_of(RunFolder(out).ledger, schema, log)
    fresh = out / f".{_SNAPSHOT}.part"
    held = write_snapshot(connection, shape, columns, fresh, standing)
    unchanged = held == sum(map(len, standing.values())) and filecmp.cmp(
        fresh, out / _SNAPSHOT, shallow=False
    )
    fresh.unlink()
    if not unchanged:
        write_standing(standing, out / _STANDING)
        _begin(connection, shape, columns, out, address)


def _write_back(address: Address, key: str | None, schema: Schema, folder: RunFolder) -> int:
    log = AppliedLog(folder.path / _LOG)
    written = 0
    with closing(log), closing(address.connect()) as connection:
        shape = read_shape(connection, address, key)
        connection.commit()
        standing = read_standing(folder.path / _STANDING)
        still: dict[str, set[str]] = {column: set() for column in standing}
        for batch in cell_batches(folder.ledger, schema):
            fills = standing.get(batch.column)
            if fills is not None:
                still[batch.column].update(batch.keys)
            with _refusals_told(address, batch.column):
                written += apply_batch(connection, shape, batch, log, fills)
            folder.note("writing back", batch=batch.name)
        # Fills of the run before that are not vouched for any more.
        for column, fills in standing.items():
            with _refusals_told(address, column):
                revert_fills(connection, shape, column, fills, still[column])
    return written


@contextmanager
def _refusals_told(address: Address, column: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise JobFailed(f"{address}, column {column!r}: {error}") from error


def undo_postgres(folder: RunFolder, run: Mapping[str, Any]) -> int:
    """Take a run's fills out of the database, where they still are; give how many were.

    Raises:
        JobFailed: the server refuses.
    """
    address = Address.parse(str(run["options"]["postgres"]))
    log = AppliedLog(folder.path / _LOG)
    undone = 0
    with closing(log), closing(address.connect()) as connection:
        shape = read_shape(connection, address, str(run["options"]["key"]))
        connection.commit()
        for column, fills in read_standing(folder.path / _STANDING).items():
            with _refusals_told(address, column):
                undone += revert_fills(connection, shape, column, fills)
        for batch in cell_batches(folder.ledger, schema_of(dict(run))):
            with _refusals_told(address, batch.column):
                undone += revert_batch(connection, shape, batch, log)
    for name in (_LOG, _SNAPSHOT, _STANDING, _NOTE):
        (folder.path / name).unlink(missing_ok=True)
    return undone
