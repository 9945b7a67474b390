"""How a CSV file is written: what stands between cells, around them, and at a line's end."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

_DELIMITERS = (",", ";", "\t", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class CsvDialect:
    """What has to be kept when a CSV file is written again.

    Args:
        delimiter: one character between cells.
        line_end: what ends a line.
        quote_all: whether every cell is quoted, or only those that need it.
        ends_with_line_end: whether the last line is ended as well.
    """

    delimiter: str = ","
    line_end: str = "\n"
    quote_all: bool = False
    ends_with_line_end: bool = True


def find_dialect(sample: str, *, is_tab_separated: bool = False) -> CsvDialect:
    r"""Find the dialect of a CSV file by its beginning.

    The delimiter is the one by which most lines have as many cells as the header, and among
    equals the one that gives most columns. ``csv.Sniffer`` is not used: it takes letters for
    delimiters.

    Args:
        sample: the beginning of the file, whole lines.
        is_tab_separated: what the file's name says.

    >>> find_dialect("id;name\r\n1;a, b\r\n").delimiter
    ';'
    """
    outside = _QUOTED.sub("", sample)
    line_end = "\n"
    if "\r" in outside:
        line_end = "\r\n" if "\r\n" in outside else "\n" if "\n" in outside else "\r"
    first = "\t" if is_tab_separated else ","
    best, best_score = first, (0.0, 1)
    for delimiter in (first, *(other for other in _DELIMITERS if other != first)):
        rows = _rows(sample, delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        score = (sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0]))
        if score > best_score:
            best, best_score = delimiter, score
    cells = [cell for row in _rows(sample, best) for cell in row]
    quoted = len(_QUOTED.findall(sample))
    return CsvDialect(best, line_end, quote_all=len(cells) > 0 and quoted >= len(cells))


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    try:
        lines = sample.splitlines(keepends=True)
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []
