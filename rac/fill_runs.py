"""A fill run as a report takes it: its ledger with the tables that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from eval.ledgers import FillRun, attribute_columns, fill_metadata, read_fill_run
from rac.errors import InputError
from rac.tables import Table, open_table


def open_fill_run(path: str | Path, *, truth: str | None = None, id: str | None = None) -> FillRun:
    """Read a fill run with the true values, the cells it found filled, and references of images.

    The filled table is looked for where the run found it; without it, images come from the table
    of true values.

    Args:
        path: the run's folder, or its ledger.
        truth: table with the true values; rows are matched by id.
        id: column with the ids of both tables; None for the first that is called like one.

    Raises:
        InputError: there is no such table of true values, or it has none of the run's columns.
        ReportFault: not a readable ledger, or ids of the truth repeat.
    """
    columns = attribute_columns(path)
    options: dict[str, Any] = {}
    if truth is not None:
        table = open_table(truth, id=id)
        told = {name: column for name, column in columns.items() if column in table.columns}
        if not told:
            raise InputError(
                f"{truth}: has none of the run's columns {', '.join(columns.values())}; it has "
                f"{', '.join(table.columns)}"
            )
        read = _read(table, told)
        options = {"truth": read.truth(), **read.pictures(table)}
    try:
        table = open_table(str(fill_metadata(path).get("table", "")), id=id)
        there = {name: column for name, column in columns.items() if column in table.columns}
        read = _read(table, there)
    except InputError:  # the table has moved; the report does without it
        return read_fill_run(path, **options)
    found = {name: Counter(cell for cell in cells if cell) for name, cells in read.cells.items()}
    return read_fill_run(path, **(options | read.pictures(table)), found=found)


@dataclass(frozen=True)
class _Cells:
    """Ids of a table's rows, image references, and the cells of the wanted columns as text."""

    ids: list[str]
    images: list[str | None]
    cells: Mapping[str, list[str | None]]

    def truth(self) -> pa.Table:
        return _texts({"id": self.ids, **self.cells})

    def pictures(self, table: Table) -> dict[str, Any]:
        images = _texts({"id": self.ids, "image": self.images})
        return {"images": images, "image_folder": table.base or ".", "table": table.source}


def _texts(columns: Mapping[str, Sequence[str | None]]) -> pa.Table:
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


def _read(table: Table, wanted: Mapping[str, str]) -> _Cells:
    read = _Cells([], [], {name: [] for name in wanted})
    for batch in table.batches():
        items = table.items(batch)
        read.ids.extend(item.id for item in items)
        read.images.extend(item.image if isinstance(item.image, str) else None for item in items)
        for name, column in wanted.items():
            read.cells[name].extend(table.strings(batch, column))
    return read
