"""The fills of earlier runs that still stand in the database while a run decides anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.ledger import Ledger
from rac.attributes.postgres.write_back import AppliedLog, cell_batches
from rac.attributes.schema import Schema
from retrieval_index.files import replace_file

_SCHEMA = pa.schema([(name, pa.string()) for name in ("column", "key", "before", "value")])

Standing = Mapping[str, Mapping[str, tuple[str | None, str]]]
"""For each column, by the row's key: what the cell said before any run, and what was written."""


def standing_of(ledger: Ledger, schema: Schema, log: AppliedLog) -> Standing:
    """Give the cells that a run has written."""
    found: dict[str, dict[str, tuple[str | None, str]]] = {}
    for batch in cell_batches(ledger, schema):
        mine = log.written(batch.name)
        cells = zip(batch.keys, batch.before, batch.values, strict=True)
        found.setdefault(batch.column, {}).update(
            (key, (before, value)) for key, before, value in cells if mine is None or key in mine
        )
    return found


def write_standing(standing: Standing, path: Path) -> None:
    """Keep the cells in a file, written whole or not at all."""
    lines = [
        (column, key, before, value)
        for column, cells in standing.items()
        for key, (before, value) in cells.items()
    ]
    columns = [[line[place] for line in lines] for place in range(len(_SCHEMA))]
    with replace_file(path) as draft:
        pq.write_table(pa.table(columns, schema=_SCHEMA), draft)


def read_standing(path: Path) -> Standing:
    """Read the cells; none where there is no file."""
    found: dict[str, dict[str, tuple[str | None, str]]] = {}
    if path.exists():
        for batch in pq.ParquetFile(path).iter_batches():
            columns = (batch.column(name).to_pylist() for name in _SCHEMA.names)
            for column, key, before, value in zip(*columns, strict=True):
                found.setdefault(column, {})[key] = (before, value)
    return found
