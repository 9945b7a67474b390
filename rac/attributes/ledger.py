"""The ledger: what a run decided, cell by cell, and what each decision rests on.

It is a folder of Parquet parts, as other tools write them: ``pyarrow.parquet.read_table``, pandas,
DuckDB and Polars read the folder as one table. Each part holds the decisions of one stretch of the
table's rows and is written whole; a part that is there is never written again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval_index.files import replace_file

METADATA_KEY = b"rac.ledger"
FORMAT_VERSION = 2

PART_ROWS = 65_536
"""Rows of the table whose decisions one part holds."""


class Decision(StrEnum):
    """What became of a cell."""

    FILLED = "filled"
    """It was missing, and a value was written."""
    NOT_APPLICABLE = "not_applicable"
    """It was missing, and the attribute makes no sense for the item."""
    ABSTAINED = "abstained"
    """It was missing and stays as it was; the reason says why."""
    KNOWN = "known"
    """It held something that is not one of the attribute's values, and was not touched. Cells that
    hold one of the values are not in the ledger: nothing was decided about them."""
    BAD_IMAGE = "bad_image"
    """It was missing and stays as it was, since the row's image could not be read."""


_WORDS = pa.dictionary(pa.int32(), pa.string())

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("attribute", _WORDS, nullable=False),
        pa.field("decision", _WORDS, nullable=False),
        pa.field("before", pa.string()),
        pa.field("value", _WORDS),
        pa.field("probability", pa.float32()),
        pa.field("threshold", pa.float32()),
        pa.field("source", _WORDS),
        pa.field(
            "alternatives",
            pa.list_(pa.struct([("value", pa.string()), ("probability", pa.float32())])),
        ),
        pa.field("prompts", _WORDS),
        pa.field("neighbour_rows", pa.list_(pa.int64())),
        pa.field("neighbour_ids", pa.list_(pa.string())),
        pa.field("reason", _WORDS),
    ]
)
"""``row`` counts the table's rows from 0; ``before`` is the cell as it was; ``value`` is what was
decided, or the best guess where it abstained; ``prompts`` are those of this value, one a line."""


def part_path(folder: Path, number: int) -> Path:
    """Give the file of a part."""
    return folder / f"part-{number:06d}.parquet"


def write_part(
    folder: Path, number: int, batches: Sequence[pa.RecordBatch], metadata: Mapping[str, Any]
) -> None:
    """Write the decisions of one stretch of rows, whole or not at all.

    Args:
        folder: the ledger.
        number: of the part; the rows are those from ``number * PART_ROWS`` on.
        batches: in ``LEDGER_SCHEMA``.
        metadata: what the decisions rest on: encoder, schema, time.
    """
    noted = json.dumps({"version": FORMAT_VERSION, **metadata}, ensure_ascii=False)
    schema = LEDGER_SCHEMA.with_metadata({METADATA_KEY: noted.encode()})
    with replace_file(part_path(folder, number)) as draft:
        table = pa.Table.from_batches(list(batches), LEDGER_SCHEMA)
        pq.write_table(table.replace_schema_metadata(schema.metadata), draft, compression="zstd")


def read_part(folder: Path, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the decisions of one stretch of rows, or some of their columns."""
    path = part_path(folder, number)
    return pq.ParquetFile(path).read(columns=None if columns is None else list(columns))


def parts(folder: Path) -> list[int]:
    """Give the numbers of the parts that are there, ascending."""
    return sorted(int(path.stem.removeprefix("part-")) for path in folder.glob("part-*.parquet"))


def read_ledger(folder: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read a whole ledger and its metadata."""
    tables = [read_part(folder, number) for number in parts(folder)]
    metadata: dict[str, Any] = {}
    if tables:
        metadata = json.loads((tables[0].schema.metadata or {}).get(METADATA_KEY, b"{}"))
    bare = [table.replace_schema_metadata(None) for table in tables]
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *bare]), metadata
