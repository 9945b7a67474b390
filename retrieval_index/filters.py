"""Rows that may be found, by the values of their columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval_index.arrays import BoolArray
from retrieval_index.contents import Contents
from retrieval_index.errors import MemoryFault

Where: TypeAlias = Mapping[str, Collection[str]]
"""By column, the values of which a row must have one; a null is none of them. Columns of other
types are compared by their text: 3, true, 2.5."""


def allowed_rows(contents: Contents, where: Where) -> BoolArray:
    """Say of each row as it lies whether every column holds one of the wanted values.

    Raises:
        MemoryFault: there is no such column.
    """
    columns = contents.segments[0].rows.column_names
    for name in where:
        if name not in columns:
            raise MemoryFault(f"the memory has no column {name!r}; its columns are {columns}")
    parts = []
    for segment in contents.segments:
        allowed = np.ones(len(segment), dtype=np.bool_)
        for name, values in where.items():
            column = segment.rows.column(name).cast(pa.string())
            wanted = pa.array(list(values), type=pa.string())
            # A null among the values would let rows without a value through.
            allowed &= pc.is_in(column, value_set=wanted, skip_nulls=True).to_numpy()
        parts.append(allowed)
    return np.concatenate(parts)
