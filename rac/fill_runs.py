"""A fill run as a report takes it: its ledger with the tables that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
        told = _there(columns, table)
        if not told:
            raise InputError(
                f"{truth}: has none of the run's columns {', '.join(columns.values())}; it has "
                f"{', '.join(table.columns)}"
            )
        cells: dict[str, list[pa.Array]] = {name: [] for name in told}
        options = _read(table, told, lambda name, texts: cells[name].append(_text(texts)))
        columns_of_truth = {name: _joined(parts) for name, parts in cells.items()}
        options["truth"] = pa.table({"id": options["images"].column("id"), **columns_of_truth})
    found: dict[str, Counter[str]] = {name: Counter() for name in columns}
    try:
        table = open_table(str(fill_metadata(path).get("table", "")), id=id)
        there = _there(columns, table)
        options |= _read(
            table, there, lambda name, texts: found[name].update(cell for cell in texts if cell)
        )
    except InputError:  # the table has moved; the report does without it
        return read_fill_run(path, **options)
    return read_fill_run(path, **options, found={name: found[name] for name in there})


def _there(columns: Mapping[str, str], table: Table) -> dict[str, str]:
    return {name: column for name, column in columns.items() if column in table.columns}


def _read(
    table: Table, wanted: Mapping[str, str], take: Callable[[str, list[str | None]], None]
) -> dict[str, Any]:
    """Hand the cells of the wanted columns on, batch by batch; give what tells of the images."""
    ids: list[pa.Array] = []
    images: list[pa.Array] = []
    for batch in table.batches():
        items = table.items(batch)
        ids.append(_text([item.id for item in items]))
        images.append(
            _text([item.image if isinstance(item.image, str) else None for item in items])
        )
        for name, column in wanted.items():
            take(name, table.strings(batch, column))
    shown = pa.table({"id": _joined(ids), "image": _joined(images)})
    return {"images": shown, "image_folder": table.base or ".", "table": table.source}


def _text(cells: Sequence[str | None]) -> pa.Array:
    return pa.array(cells, pa.string())


def _joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    return pa.chunked_array(parts, pa.string())
