"""CSV files that people open in a spreadsheet: text that it would run is defused, and read back.

A spreadsheet runs a cell that starts with ``=``, ``+``, ``-`` or ``@`` as a formula, and names of
classes, ids, references and values come from catalogues. Such text gets a leading apostrophe, which
spreadsheets show as text. Text that starts with apostrophes and goes on so gets one more, so that
reading, which takes one away, gives back what was written. Numbers that we computed stay numbers.

The copy of a person's own table is no such file: it stays what it was, to the byte.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

# Spaces, control characters and marks without a width, which some spreadsheets pass over.
_UNSEEN = (
    "\\x00-\\x20\\x7f-\\xa0\\xad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u3000\\ufeff"
)
# A tab or a line end at the start is enough. The last four are the full-width forms.
_RUN = re.compile(rf"'*(?: *[\t\r\n]|[{_UNSEEN}]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def defuse_formula(text: str) -> str:
    """Make a spreadsheet show text that it would otherwise run.

    >>> [defuse_formula(text) for text in ("=HYPERLINK(1)", "red", "'tis", "'=1")]
    ["'=HYPERLINK(1)", 'red', "'tis", "''=1"]
    """
    return "'" + text if _RUN.match(text) else text


def restore_formula(text: str) -> str:
    """Give text as it was before :func:`defuse_formula`.

    >>> [restore_formula(text) for text in ("'=HYPERLINK(1)", "red", "'tis", "''=1")]
    ['=HYPERLINK(1)', 'red', "'tis", "'=1"]
    """
    return text[1:] if text.startswith("'") and _RUN.match(text, 1) else text


class PeoplesCsv:
    """Writes rows of a CSV file that a person may open in a spreadsheet.

    Args:
        handle: opened with ``newline=""``.
        line_end: of each row.
    """

    def __init__(self, handle: TextIO, line_end: str = "\n") -> None:
        self._rows = CsvRows(handle, line_end)

    def write(self, cells: Iterable[str | int | float | None]) -> None:
        """Write a row: text defused, fractions with six digits, None as an empty cell."""
        self._rows.write([_cell(cell) for cell in cells])


class CsvRows:
    """Writes rows of a CSV file in UTF-8, with cells as they are.

    A cell with any kind of line end in it is quoted, whatever ends the rows: otherwise what stands
    behind it would begin a row.

    Args:
        handle: opened with ``newline=""``.
        line_end: of each row.

    >>> import sys
    >>> CsvRows(sys.stdout).write(["a, b", None, 7])
    "a, b",,7
    """

    _QUOTED = "\r\n"  # what is in a cell's way, for the library, is what ends its rows

    def __init__(self, handle: TextIO, line_end: str = "\n") -> None:
        self._row = io.StringIO(newline="")
        self._writer = csv.writer(self._row, lineterminator=self._QUOTED)
        self._handle = handle
        self._line_end = line_end

    def write(self, cells: Iterable[str | int | None]) -> None:
        """Write a row; None becomes an empty cell."""
        self._writer.writerow(cells)
        self._handle.write(self._row.getvalue().removesuffix(self._QUOTED) + self._line_end)
        self._row.seek(0)
        self._row.truncate()


def _cell(cell: str | int | float | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return defuse_formula(cell)
    return f"{cell:.6f}" if isinstance(cell, float) else str(cell)


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

    Every other cell is its text, ``NA`` and ``null`` too, as it was before it was defused.

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
    # An id may have a line end in it.
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(file, convert_options=options, parse_options=parsing)
    return pa.table({name: _restored(table.column(name)) for name in names})


def _restored(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    texts = [None if text is None else restore_formula(text) for text in cells.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])
