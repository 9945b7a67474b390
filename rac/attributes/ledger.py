"""The ledger: what a run decided, cell by cell, and what each decision rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval_index.files import replace_file

METADATA_KEY = b"rac.ledger"
FORMAT_VERSION = 1


class Decision(StrEnum):
    """What became of a cell."""

    FILLED = "filled"
    """It was missing, and a value was written."""
    ABSTAINED = "abstained"
    """It was missing and stays as it was; the reason says why."""
    KNOWN = "known"
    """It held a value, which was not touched."""
    BAD_IMAGE = "bad_image"
    """It was missing and stays as it was, since the row's image could not be read."""


LEDGER_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("attribute", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("decision", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("before", pa.string()),
        pa.field("value", pa.string()),
        pa.field("probability", pa.float32()),
        pa.field("threshold", pa.float32()),
        pa.field("source", pa.dictionary(pa.int32(), pa.string())),
        pa.field(
            "alternatives",
            pa.list_(pa.struct([("value", pa.string()), ("probability", pa.float32())])),
        ),
        pa.field("neighbour_rows", pa.list_(pa.int64())),
        pa.field("neighbour_ids", pa.list_(pa.string())),
        pa.field("reason", pa.string()),
    ]
)
"""``row`` counts the table's rows from 0; ``before`` is the cell as it was; ``value`` is what the
cell says now, or the best guess where it abstained."""


@dataclass(frozen=True)
class LedgerRow:
    """One cell; the fields are the ledger's columns, in their order."""

    row: int
    id: str
    attribute: str
    decision: Decision
    before: str | None = None
    value: str | None = None
    probability: float | None = None
    threshold: float | None = None
    source: str | None = None
    alternatives: Sequence[tuple[str, float]] | None = None
    neighbour_rows: Sequence[int] | None = None
    neighbour_ids: Sequence[str] | None = None
    reason: str | None = None


class LedgerWriter:
    """Writes ledger rows as they come; :func:`write_ledger` gives one."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, rows: Sequence[LedgerRow]) -> None:
        """Append rows."""
        if not rows:
            return
        columns: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in rows] for name in LEDGER_SCHEMA.names
        }
        columns["decision"] = [row.decision.value for row in rows]
        columns["alternatives"] = [
            None
            if row.alternatives is None
            else [{"value": value, "probability": chance} for value, chance in row.alternatives]
            for row in rows
        ]
        self._writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=LEDGER_SCHEMA))


@contextmanager
def write_ledger(path: Path, metadata: Mapping[str, Any]) -> Iterator[LedgerWriter]:
    """Open a ledger for writing; it appears at ``path`` when the block ends well, else not at all.

    Args:
        path: a ``.parquet`` file.
        metadata: what the decisions rest on (encoder, schema, time), for the file's own metadata.
    """
    noted = json.dumps({"version": FORMAT_VERSION, **metadata}, ensure_ascii=False)
    schema = LEDGER_SCHEMA.with_metadata({METADATA_KEY: noted.encode()})
    with (
        replace_file(path) as draft,
        pq.ParquetWriter(draft, schema, compression="zstd") as writer,
    ):
        yield LedgerWriter(writer)


def read_ledger(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read a ledger and its metadata."""
    table = pq.read_table(path)
    return table, json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}"))
