"""The ledger: what a run decided, cell by cell, and what each decision rests on.

One Parquet file, whose row groups are parts: each has the decisions of one stretch of the table's
rows. Its length and SHA-256 stand in ``run.json`` (see :mod:`eval.run_record`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval.run_record import PUT_BACK
from rac.errors import InputError

METADATA_KEY = b"rac.ledger"
FORMAT_VERSION = 3
"""From 3 on, ``run.json`` vouches for the file."""

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
    """A run's ledger: one file, read part by part; see also :class:`.draft_ledger.DraftLedger`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def parts(self) -> list[int]:
        """Give the numbers of the parts that are there, ascending.

        Raises:
            InputError: the file is missing or damaged.
        """
        with _damage_told(self.path):
            return list(range(pq.ParquetFile(self.path).num_row_groups))

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the decisions of one stretch of rows, or some of their columns.

        Returns:
            The columns in their order, each of the type that ``LEDGER_SCHEMA`` gives it.

        Raises:
            InputError: the file is missing or damaged, or no ledger.
        """
        wanted = list(LEDGER_SCHEMA.names if columns is None else columns)
        with _damage_told(self.path), pq.ParquetFile(self.path) as file:
            lacks = [name for name in wanted if name not in file.schema_arrow.names]
            if lacks:
                raise InputError(f"{self.path}: not a ledger: it has no column {lacks[0]!r}")
            return _checked(file.read_row_group(number, columns=wanted), wanted)

    def metadata(self) -> dict[str, Any]:
        """Give what a finished ledger says of itself; empty where there is none.

        Raises:
            InputError: the file is damaged.
        """
        if not self.path.exists():
            return {}
        with _damage_told(self.path):
            noted = pq.read_schema(self.path).metadata or {}
            found = json.loads(noted.get(METADATA_KEY, b"{}"))
        return found if isinstance(found, dict) else {}


def _checked(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Give a part as the rest of the program may take it: whole, typed, and of real text."""
    table = table.select(columns).replace_schema_metadata(None)
    for name in columns:
        if not LEDGER_SCHEMA.field(name).nullable and table.column(name).null_count:
            raise pa.ArrowInvalid(f"column {name!r} has empty cells")
    table = table.cast(pa.schema([LEDGER_SCHEMA.field(name) for name in columns]))
    # Also that what is called text is UTF-8, and that every word is in its dictionary.
    table.validate(full=True)
    return table


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn what Arrow and JSON say of a damaged file into an error that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: it is missing; {PUT_BACK}") from None
    except RecursionError:
        raise InputError(f"{path}: it is damaged: its metadata is nested too deeply") from None
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: it is damaged: {error}; {PUT_BACK}") from error


def read_ledger(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read a whole ledger and its metadata.

    Raises:
        InputError: the file is missing or damaged.
    """
    ledger = Ledger(path)
    parts = [ledger.read(number) for number in ledger.parts()]
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *parts]), ledger.metadata()
