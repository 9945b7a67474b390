"""The ledger: what a run decided, cell by cell, and what each decision rests on.

One Parquet file. While it is made it is a folder of parts, each with the decisions of one stretch
of the table's rows, written whole; a part that is there is never written again. At the end the
parts become the row groups of the file, in order.
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

_ROWS_IN_GROUP = 1 << 40

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


class Ledger:
    """A ledger's file, or the folder of its parts; both are read part by part."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def parts(self) -> list[int]:
        """Give the numbers of the parts that are there, ascending."""
        if self.path.is_file():
            return list(range(pq.ParquetFile(self.path).num_row_groups))
        return sorted(
            int(path.stem.removeprefix("part-")) for path in self.path.glob("part-*.parquet")
        )

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the decisions of one stretch of rows, or some of their columns."""
        wanted = None if columns is None else list(columns)
        if self.path.is_file():
            return pq.ParquetFile(self.path).read_row_group(number, columns=wanted)
        return pq.ParquetFile(self._part(number)).read(columns=wanted)

    def write_part(self, number: int, batches: Sequence[pa.RecordBatch]) -> None:
        """Write the decisions of one stretch of rows, whole or not at all.

        Args:
            number: of the part; the rows are those from ``number * PART_ROWS`` on.
            batches: in ``LEDGER_SCHEMA``.
        """
        with replace_file(self._part(number)) as draft:
            table = pa.Table.from_batches(list(batches), LEDGER_SCHEMA)
            pq.write_table(table, draft, compression="lz4", row_group_size=_ROWS_IN_GROUP)

    def publish(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Make one file of the parts, whole or not at all.

        Args:
            path: the file.
            metadata: what the decisions rest on: encoder, schema, time.
        """
        noted = json.dumps({"version": FORMAT_VERSION, **metadata}, ensure_ascii=False)
        schema = LEDGER_SCHEMA.with_metadata({METADATA_KEY: noted.encode()})
        with (
            replace_file(path) as draft,
            pq.ParquetWriter(draft, schema, compression="zstd") as writer,
        ):
            for number in self.parts():
                part = self.read(number).replace_schema_metadata(schema.metadata)
                writer.write_table(part.unify_dictionaries(), row_group_size=_ROWS_IN_GROUP)

    def metadata(self) -> dict[str, Any]:
        """Give what a finished ledger says of itself; empty where there is none."""
        if not self.path.is_file():
            return {}
        noted = pq.read_schema(self.path).metadata or {}
        found = json.loads(noted.get(METADATA_KEY, b"{}"))
        return found if isinstance(found, dict) else {}

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"


def read_ledger(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read a whole ledger and its metadata."""
    return pq.read_table(path).replace_schema_metadata(None), Ledger(path).metadata()
