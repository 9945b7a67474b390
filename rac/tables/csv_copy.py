"""A CSV file written again: a cell that did not change stays as it was written, to the byte."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rac.errors import InputError
from rac.tables.cells import cell_text
from rac.tables.csv_dialect import CsvDialect
from rac.tables.encoding import TextEncoding


@dataclass(frozen=True)
class Record:
    """One row of a CSV file.

    Args:
        line: number of its first line, from 1.
        blank: the blank lines before it.
        text: as it is written, its line end included.
        cells: what it says; none in the last record of a file that ends with blank lines.
    """

    line: int
    blank: str
    text: str
    cells: list[str]


def read_records(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[Record]:
    """Yield the rows of a CSV file, the header first.

    Raises:
        InputError: a row cannot be read; the message names the line.
    """
    taken: list[str] = []

    def remembered() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=delimiter, strict=True)
    blank = ""
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            if blank:
                yield Record(first, blank, "", [])
            return
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}, line {first}: {error}") from error
        text = "".join(taken)
        taken.clear()
        if cells:
            yield Record(first, blank, text, cells)
            blank = ""
        else:
            blank += text


def copy_csv(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    records: Iterator[Record],
    dialect: CsvDialect,
    encoding: TextEncoding,
) -> None:
    """Write batches as CSV; what says the same as the original's record in that place is kept.

    Args:
        path: the file to write.
        schema: the columns to write.
        batches: of these columns; null cells become empty ones.
        records: of the original, the header first.
        dialect: of the original.
        encoding: of the original.

    Raises:
        InputError: a cell cannot be written in the encoding.
    """
    header = next(records)
    places = [header.cells.index(name) if name in header.cells else None for name in schema.names]
    writer = _RecordWriter(dialect, places)
    try:
        with open(path, "wb") as raw:
            raw.write(encoding.mark)
            with io.TextIOWrapper(raw, encoding=encoding.name, newline="") as handle:
                handle.write(writer.text(list(schema.names), header))
                for batch in batches:
                    columns = [column.to_pylist() for column in batch.columns]
                    for row in zip(*columns, strict=True):
                        cells = [
                            cell if isinstance(cell, str) else cell_text(cell) or "" for cell in row
                        ]
                        handle.write(writer.text(cells, next(records, None)))
                last = next(records, None)
                if last is not None and not last.cells:
                    handle.write(last.blank)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path.name}: {error.object[error.start : error.end]!r} cannot be written in "
            f"{encoding.name}, the table's encoding; save the table as UTF-8 first"
        ) from error


class _RecordWriter:
    def __init__(self, dialect: CsvDialect, places: Sequence[int | None]) -> None:
        self._dialect = dialect
        self._places = places
        self._same_columns = list(places) == list(range(len(places)))
        mark = re.escape(dialect.delimiter)
        self._field = re.compile(rf'"[^"]*(?:""[^"]*)*"|[^{mark}\r\n]*')
        self._special = re.compile(rf'[{mark}"\r\n]')
        self._line_end_due = False

    def text(self, cells: list[str], original: Record | None) -> str:
        """Give one row as it is to be written, after what the row before still lacks."""
        due = self._dialect.line_end if self._line_end_due else ""
        if original is None or not original.cells:
            self._line_end_due = not self._dialect.ends_with_line_end
            end = "" if self._line_end_due else self._dialect.line_end
            return due + self._joined([self._written(cell) for cell in cells]) + end
        body = original.text.rstrip("\r\n")
        end = original.text[len(body) :]
        self._line_end_due = not end
        if self._same_columns and cells == original.cells:
            return due + original.blank + original.text
        fields = self._fields(original.text, len(original.cells))
        written = []
        for cell, place in zip(cells, self._places, strict=True):
            if place is None or fields is None:
                written.append(self._written(cell))
            elif cell == original.cells[place]:
                written.append(fields[place])
            else:
                written.append(self._written(cell, quoted=fields[place].startswith('"')))
        return due + original.blank + self._joined(written) + end

    def _fields(self, text: str, count: int) -> list[str] | None:
        """Split a record into its cells as they are written; None where that does not work out."""
        fields, place = [], 0
        while True:
            found = self._field.match(text, place)
            if found is None:
                return None
            fields.append(found.group())
            place = found.end()
            if text[place : place + 1] != self._dialect.delimiter:
                break
            place += 1
        return fields if len(fields) == count and not text[place:].strip("\r\n") else None

    def _written(self, cell: str, *, quoted: bool = False) -> str:
        if quoted or self._dialect.quote_all or self._special.search(cell):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def _joined(self, fields: list[str]) -> str:
        # A row of one empty cell would be a blank line.
        return self._dialect.delimiter.join(fields) if fields != [""] else '""'
