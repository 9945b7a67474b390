"""The filled copy of a table, out of the table and the ledger.

The copy is the person's own table again: every cell that is not filled is what it was, to the byte,
and a filled one says what the schema or the column's other cells say. So nothing in it is defused
for spreadsheets; the files that we make for people are, see :mod:`eval.csv_texts`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
    written: dict[str, tuple[npt.NDArray[np.int64], list[str]]] = {}
    there = set(ledger.parts())
    number = -1
    done = 0
    for first, batch in stretches(job.table, BATCH_ROWS, limit=job.options.limit):
        if first // PART_ROWS != number:
            number = first // PART_ROWS
            if number not in there:
                raise table_changed(job.table)
            written = _written_values(job.schema, ledger, number)
        done = first + batch.num_rows
        filled = batch
        for name, attribute in job.schema.attributes.items():
            rows, values = written[name]
            start, end = np.searchsorted(rows, [first, done])
            here = dict(zip((rows[start:end] - first).tolist(), values[start:end], strict=True))
            filled = fill_column(job.table, filled, attribute, here)
        yield filled
    if not done:
        # Without a row there is still a heading, with the new columns in it.
        empty = pa.RecordBatch.from_pylist([], schema=job.table.schema)
        for attribute in job.schema.attributes.values():
            empty = fill_column(job.table, empty, attribute, {})
        yield empty
    if done != len(job.store.ok):
        raise table_changed(job.table)


def _written_values(
    schema: Schema, ledger: Ledger, number: int
) -> dict[str, tuple[npt.NDArray[np.int64], list[str]]]:
    """Give for each attribute the rows of a part that are written, ascending, and their values."""
    part = ledger.read(number, ["row", "attribute", "decision", "value"])
    attributes = part.column("attribute").cast(pa.string())
    decisions = part.column("decision").cast(pa.string())
    found = {}
    for name, attribute in schema.attributes.items():
        wanted = [Decision.FILLED.value]
        if attribute.not_applicable is not None:
            wanted.append(Decision.NOT_APPLICABLE.value)
        mine = part.filter(
            pc.and_(pc.equal(attributes, name), pc.is_in(decisions, pa.array(wanted)))
        )
        # As text first: of a dictionary, Python would be handed the words one by one.
        values = mine.column("value").cast(pa.string()).to_pylist()
        found[name] = (mine.column("row").to_numpy(), values)
    return found
