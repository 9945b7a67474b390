"""A frame of the caller's with some cells filled, and everything else as it was.

The frame is not made anew out of what the job has read, which could lose types and an index: a
copy of it gets those cells set that the ledger says were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.tables.frame_table import FrameKind


class FilledColumn(NamedTuple):
    """What was written into one column.

    Attributes:
        name: of the column, which the frame may lack.
        rows: (F,) row numbers, ascending.
        cells: (F,) what was written there.
    """

    name: str
    rows: npt.NDArray[np.int64]
    cells: pa.ChunkedArray


def filled_frame(frame: Any, kind: FrameKind, columns: Sequence[FilledColumn]) -> Any:
    """Give a copy of a frame with the cells of some columns set.

    Args:
        frame: of N rows; it stays as it is.
        kind: of frame.
        columns: what was written; a column that the frame lacks is added, as text.

    >>> table = pa.table({"colour": ["red", None]})
    >>> written = FilledColumn("colour", np.array([1]), pa.chunked_array([["blue"]]))
    >>> filled_frame(table, "arrow", [written]).column("colour").to_pylist()
    ['red', 'blue']
    """
    fill = {"pandas": _pandas, "polars": _polars, "datasets": _dataset}.get(kind, _arrow)
    return fill(frame, columns)


def _pandas(frame: Any, columns: Sequence[FilledColumn]) -> Any:
    import pandas

    copy = frame.copy()
    names = [str(name) for name in frame.columns]
    for column in columns:
        if column.name not in names:
            fresh = _scattered([None] * len(frame), column)
            copy[column.name] = pandas.Series(fresh, index=frame.index, dtype="object").array
            continue
        if not len(column.rows):
            continue
        place = names.index(column.name)
        series = copy.iloc[:, place].copy()
        cells = _objects(column.cells)
        if isinstance(series.dtype, pandas.CategoricalDtype):
            new = [one for one in dict.fromkeys(cells) if one not in series.cat.categories]
            series = series.cat.add_categories(new)
        elif series.isna().all() and not pandas.api.types.is_string_dtype(series.dtype):
            series = series.astype("object")
        series.iloc[column.rows] = cells
        copy.isetitem(place, series)
    return copy


def _polars(frame: Any, columns: Sequence[FilledColumn]) -> Any:
    import polars

    made = []
    for column in columns:
        if column.name not in frame.columns:
            kind, cells = polars.String, [None] * len(frame)
        else:
            if not len(column.rows):
                continue
            old = frame.get_column(column.name)
            kind, cells = old.dtype, old.to_list()
            if kind == polars.Null:
                kind = polars.String
        made.append(polars.Series(column.name, _scattered(cells, column), dtype=kind))
    return frame.with_columns(made)


def _dataset(data: Any, columns: Sequence[FilledColumn]) -> Any:
    from datasets import Value

    names = list(data.column_names)
    for column in columns:
        if column.name not in names:
            names.append(column.name)
            cells = _scattered([None] * len(data), column)
            data = data.add_column(column.name, cells, feature=Value("string"))
        elif len(column.rows):
            feature = data.features[column.name]
            stored = data.select_columns([column.name]).with_format("arrow")[:]
            cells = _scattered(stored.column(column.name).to_pylist(), column)
            if feature == Value("null"):
                feature = Value("string")
            rest = data.remove_columns([column.name])
            data = rest.add_column(column.name, pa.array(cells), feature=feature)
    return data.select_columns(names)


def _arrow(frame: Any, columns: Sequence[FilledColumn]) -> pa.Table:
    table = pa.table(frame)
    for column in columns:
        if column.name not in table.column_names:
            cells = pa.array(_scattered([None] * len(table), column), pa.string())
            table = table.append_column(column.name, cells)
        elif len(column.rows):
            place = table.schema.get_field_index(column.name)
            field = table.schema.field(place)
            kind = pa.string() if pa.types.is_null(field.type) else field.type
            old = table.column(place)
            if pa.types.is_dictionary(kind):
                old = old.cast(kind.value_type)
                cells = pa.array(_scattered(old.to_pylist(), column), kind.value_type)
                cells = cells.dictionary_encode().cast(kind)
            else:
                cells = pa.array(_scattered(old.to_pylist(), column), kind)
            table = table.set_column(place, field.with_type(kind), cells)
    return table


def _scattered(cells: list[Any], column: FilledColumn) -> list[Any]:
    """Put what was written into N cells; gives them."""
    for row, cell in zip(column.rows.tolist(), column.cells.to_pylist(), strict=True):
        cells[row] = cell
    return cells


def _objects(cells: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Give cells as an array of objects, also where they are lists."""
    found = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells.to_pylist()):
        found[place] = cell
    return found
