"""Columns of a CSV as text, as it stands there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.csv


def csv_columns(file: Path) -> list[str]:
    """Give the names of a CSV's columns.

    Raises:
        pyarrow.ArrowInvalid, OSError: it cannot be read.
    """
    with pyarrow.csv.open_csv(file) as reader:
        names: list[str] = reader.schema.names
    return names


def read_csv_texts(file: Path, columns: Collection[str]) -> pa.Table:
    """Read some columns of a CSV; those that it lacks are left out, and an empty cell is null.

    Every other cell is its text, ``NA`` and ``null`` too.

    Raises:
        pyarrow.ArrowInvalid, OSError: it cannot be read.
    """
    names = [name for name in csv_columns(file) if name in columns]
    if not names:  # no column asked for would be all of them
        return pa.table({})
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=names,
        null_values=[""],
        strings_can_be_null=True,
    )
    return pyarrow.csv.read_csv(file, convert_options=options)
