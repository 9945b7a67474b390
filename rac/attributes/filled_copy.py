"""The filled copy of a table, out of the table and the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from rac.attributes.columns import fill_column
from rac.attributes.ledger import PART_ROWS, Decision, Ledger
from rac.attributes.prepare import Prepared, table_changed
from rac.attributes.schema import Schema
from rac.attributes.store import BATCH_ROWS, stretches


def filled_batches(job: Prepared, ledger: Ledger) -> Iterator[pa.RecordBatch]:
    """Give the batches of a job's table with what the ledger wants written.

    Raises:
        JobFailed: the table changed while the job ran.
    """
    written: dict[str, dict[int, str]] = {}
    there = set(ledger.parts())
    number = -1
    done = 0
    for first, batch in stretches(job.table, BATCH_ROWS, limit=job.options.limit):
        if first // PART_ROWS != number:
            number = first // PART_ROWS
            if number not in there:
                raise table_changed(job.table)
            found = _written_values(job.schema, ledger.read(number))
            written = {
                name: dict(zip(rows, values, strict=True)) for name, (rows, values) in found.items()
            }
        filled = batch
        for name, attribute in job.schema.attributes.items():
            here = written[name]
            # Rows come in order, so those of this batch are the first ones left.
            values: dict[int, str] = {}
            for row in list(here):
                if row >= first + batch.num_rows:
                    break
                values[row - first] = here.pop(row)
            filled = fill_column(job.table, filled, attribute, values)
        done = first + batch.num_rows
        yield filled
    if done != len(job.store.ok):
        raise table_changed(job.table)


def _written_values(schema: Schema, part: pa.Table) -> dict[str, tuple[list[int], list[str]]]:
    """Give for each attribute the rows that were written and what was written into them."""
    columns = part.select(["row", "attribute", "decision", "value"]).to_pydict()
    found: dict[str, tuple[list[int], list[str]]] = {name: ([], []) for name in schema.attributes}
    absent = {name for name, one in schema.attributes.items() if one.not_applicable is not None}
    for row, name, decision, value in zip(*columns.values(), strict=True):
        written = decision == Decision.FILLED or (
            decision == Decision.NOT_APPLICABLE and name in absent
        )
        if written:
            found[name][0].append(row)
            found[name][1].append(value)
    return found
