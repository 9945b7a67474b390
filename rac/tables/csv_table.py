"""CSV files: every column is text, and every cell stays as it was written."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from eval.csv_texts import CsvRows
from rac.errors import InputError
from rac.tables.cells import cell_text
from rac.tables.columns import check_names
from rac.tables.csv_copy import Record, copy_csv, read_records
from rac.tables.csv_dialect import CsvDialect, find_dialect
from rac.tables.encoding import find_encoding
from rac.tables.table import Table

_SAMPLE_CHARACTERS = 64 * 1024
_LONGEST_CELL = 64 * 1024 * 1024


class CsvTable(Table):
    """A CSV file; delimiter, quoting, encoding and line ends are found and kept."""

    suffix = ".csv"

    def __init__(self, source: str, path: Path, asked: Mapping[str, str | None]) -> None:
        self._path = path
        self._encoding = find_encoding(path)
        self.suffix = path.suffix or ".csv"
        with self._open() as handle:
            sample = handle.read(_SAMPLE_CHARACTERS)
            if handle.read(1):
                # Only whole lines: a cut one would count as ragged.
                sample = sample[: sample.rfind("\n") + 1] or sample
        found = find_dialect(sample, is_tab_separated=path.suffix.lower() in (".tsv", ".tab"))
        self.dialect = CsvDialect(
            found.delimiter, found.line_end, found.quote_all, _ends_with_line_end(path)
        )
        header = next(self._rows(), None)
        if header is None:
            raise InputError(f"{path}: the file is empty; its first line should name the columns")
        self._names = header[1]
        check_names(self._names, str(path))
        schema = pa.schema([(name, pa.string()) for name in self._names])
        super().__init__(source, schema, path.parent, asked)

    def _open(self) -> io.TextIOWrapper:
        handle = open(self._path, "rb")  # noqa: SIM115 - closed by the wrapper
        handle.seek(len(self._encoding.mark))
        return io.TextIOWrapper(handle, encoding=self._encoding.name, newline="")

    def _records(self) -> Iterator[Record]:
        """Yield the rows, the header first; blank lines belong to the row behind them."""
        if csv.field_size_limit() < _LONGEST_CELL:
            csv.field_size_limit(_LONGEST_CELL)
        with self._open() as handle:
            yield from read_records(handle, self.dialect.delimiter, self._path)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, cells) of each row that is not blank, the header first."""
        return ((record.line, record.cells) for record in self._records() if record.cells)

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        rows = self._rows()
        next(rows, None)
        width = len(self._names)
        waiting: list[list[str]] = []
        for line, row in rows:
            if len(row) != width:
                raise InputError(
                    f"{self._path}, line {line}: {len(row)} cells, but the header has {width} "
                    "columns"
                )
            waiting.append(row)
            if len(waiting) >= size:
                yield self._batch(waiting)
                waiting = []
        if waiting:
            yield self._batch(waiting)

    def _batch(self, rows: list[list[str]]) -> pa.RecordBatch:
        columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        copy_csv(path, schema, batches, self._records(), self.dialect, self._encoding)


def write_csv(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches as a new CSV file in UTF-8; null cells become empty ones."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        rows = CsvRows(handle)
        rows.write(schema.names)
        for batch in batches:
            columns = [column.to_pylist() for column in batch.columns]
            for row in zip(*columns, strict=True):
                rows.write([cell if isinstance(cell, str) else cell_text(cell) for cell in row])


def _ends_with_line_end(path: Path) -> bool:
    with open(path, "rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - 4))
        return handle.read().rstrip(b"\0")[-1:] in (b"\n", b"\r")
