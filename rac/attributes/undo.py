"""Taking a run back: the filled copy, with every cell that the run wrote as it was before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eval.run_record import PUT_BACK, RECORD
from rac.attributes.columns import raw_texts
from rac.attributes.ledger import PART_ROWS, Decision, Ledger
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema
from rac.attributes.store import stretches
from rac.errors import InputError
from rac.tables import Table, open_table, write_like


@dataclass(frozen=True)
class Undone:
    """What was taken back.

    Attributes:
        file: the table as it was before.
        cells: cells that were set back.
        kept: cells that the run had filled and somebody has changed since; they stay changed.
    """

    file: str
    cells: int
    kept: int


class _Tally:
    def __init__(self) -> None:
        self.cells = 0
        self.kept = 0


def undo_fill(folder: RunFolder, filled: Path | None = None) -> Undone:
    """Write the table that a run's filled copy was before, as ``restored.<ext>`` in its folder.

    A cell is set back only while it holds what the run wrote. Columns that the run added go, if
    nothing is left in them.

    Args:
        folder: of the run.
        filled: the filled copy, where it is elsewhere now or was worked on since.

    Raises:
        InputError: there is no finished run, its record or its ledger is missing or damaged, there
            is no filled copy, or its rows are not the run's.
    """
    run = folder.record()
    folder.require_written()
    ledger = folder.whole_ledger()
    path = filled or Path(run.summary.files.get("filled", ""))
    if filled is None and "filled" not in run.summary.files:
        raise InputError(f"{folder.path}: the run wrote no filled copy, so nothing is to be undone")
    table = open_table(path, image=run.options.image, id=run.options.id)
    schema = read_schema(run.schema_content, folder.path)
    tally = _Tally()
    without = _empty_columns(ledger, table, schema, run.summary.new_columns)
    batches = _restored(ledger, table, schema, without, tally)
    written = write_like(table, folder.path, "restored", batches, without=without)
    return Undone(str(written), tally.cells, tally.kept)


def schema_of(run: Mapping[str, Any]) -> Schema:
    """Give the schema that a run was filled by, out of all that its record says.

    Raises:
        InputError: it is not readable.
    """
    return read_schema(run.get("schema"), RECORD)


def read_schema(noted: object, where: str | Path) -> Schema:
    """Give the schema that a run was filled by, as its record holds it.

    Args:
        noted: the schema as plain data.
        where: what the message names.

    Raises:
        InputError: it is not readable.
    """
    try:
        if not isinstance(noted, dict):
            raise TypeError("not an object")
        attributes = {
            name: {key: value for key, value in fields.items() if key != "name"}
            for name, fields in noted["attributes"].items()
        }
        return Schema.model_validate({"version": noted["version"], "attributes": attributes})
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise InputError(f"{where}: the run's schema is damaged: {fault}") from fault


def _empty_columns(
    ledger: Ledger, table: Table, schema: Schema, new_columns: list[str]
) -> list[str]:
    """Give the columns that the run added and that hold nothing but what it wrote."""
    empty = [name for name in new_columns if name in table.columns]
    for batch in _restored(ledger, table, schema, [], _Tally()):
        empty = [
            name
            for name in empty
            if not any(text is not None for text in table.strings(batch, name))
        ]
    return empty


def _restored(
    ledger: Ledger, table: Table, schema: Schema, without: list[str], tally: _Tally
) -> Iterator[pa.RecordBatch]:
    there = set(ledger.parts())
    seen = set()
    for first, batch in stretches(table, PART_ROWS):
        number = first // PART_ROWS
        if number not in there:
            raise InputError(f"{table.source}: it has more rows than the run decided about")
        columns = ["row", "id", "attribute", "decision", "before", "value"]
        part = ledger.read(number, columns)
        seen.add(number)
        _check_rows(ledger, table, batch, first, part)
        for name, attribute in schema.attributes.items():
            written = [Decision.FILLED.value]
            if attribute.not_applicable is not None:
                written.append(Decision.NOT_APPLICABLE.value)
            mine = pc.and_(
                pc.equal(part.column("attribute").cast(pa.string()), name),
                pc.is_in(part.column("decision").cast(pa.string()), pa.array(written)),
            )
            batch = _set_back(table, batch, attribute.column, first, part.filter(mine), tally)
        if without:
            batch = batch.select([name for name in batch.schema.names if name not in without])
        yield batch
    if seen != there:
        raise InputError(f"{table.source}: it has fewer rows than the run decided about")


def _set_back(
    table: Table, batch: pa.RecordBatch, column: str, first: int, part: pa.Table, tally: _Tally
) -> pa.RecordBatch:
    rows = part.column("row").to_numpy() - first
    if column not in batch.schema.names or not len(rows):
        return batch
    now = table.strings(batch.take(pa.array(rows)), column)
    values = part.column("value").cast(pa.string()).to_pylist()
    held = np.array([a == b for a, b in zip(now, values, strict=True)], np.bool_)
    tally.cells += int(held.sum())
    tally.kept += int((~held).sum())
    place = batch.schema.get_field_index(column)
    field = batch.schema.field(place)
    mask = np.zeros(batch.num_rows, np.bool_)
    mask[rows[held]] = True
    before = part.column("before").filter(pa.array(held)).combine_chunks()
    try:
        cells = _as_before(batch.column(place), mask, before, field)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{table.source}: column {column!r} is of the type {field.type} now, in which the "
            f"cells as they were cannot be written: {error}"
        ) from error
    return batch.set_column(place, field, cells)


def _as_before(cells: pa.Array, mask: np.ndarray, before: pa.Array, field: pa.Field) -> pa.Array:
    kind = field.type
    if pa.types.is_dictionary(kind):
        plain = _as_before(
            cells.dictionary_decode(), mask, before, field.with_type(kind.value_type)
        )
        return plain.dictionary_encode().cast(kind)
    return pc.replace_with_mask(cells, pa.array(mask), before.cast(kind))


def _check_rows(
    ledger: Ledger, table: Table, batch: pa.RecordBatch, first: int, part: pa.Table
) -> None:
    """Refuse a table whose rows are not those of the run."""
    rows = part.column("row").to_numpy() - first
    if not len(rows):
        return
    attributes = pc.cast(part.column("attribute"), pa.string())
    for name in pc.unique(attributes):
        mine = rows[pc.equal(attributes, name).to_numpy(zero_copy_only=False)]
        if mine.min() < 0 or (np.diff(mine) <= 0).any():
            raise InputError(
                f"{ledger.path}: it is damaged: its rows are not in order from {first} on; "
                f"{PUT_BACK}"
            )
    if rows.max() >= batch.num_rows:
        raise InputError(f"{table.source}: it has fewer rows than the run decided about")
    if table.roles.id is None:
        return
    ids = raw_texts(table, batch, table.roles.id, rows.astype(np.int64)).to_pylist()
    for row, now, noted in zip(rows.tolist(), ids, part.column("id").to_pylist(), strict=True):
        if now is not None and now.strip() and now != noted:
            raise InputError(
                f"{table.source}: row {first + row} has the id {now!r}, and {noted!r} when the run "
                "filled it; rows were moved, added or taken out since"
            )
