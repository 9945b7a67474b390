"""A few rows out of a large Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval.arrays import Ints


def read_rows(path: Path, positions: Ints, columns: Sequence[str]) -> pa.Table:
    """The rows at positions (R,), at least one, counted from 0, in that order.

    Only the row groups that hold them are read. Columns that the file lacks are left out.
    """
    wanted, order = np.unique(positions, return_inverse=True)
    parts, first = [], 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        names = [name for name in file.schema_arrow.names if name in columns]
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            inside = wanted[(wanted >= first) & (wanted < first + size)] - first
            if inside.size:
                table = file.read_row_group(group, columns=names)
                parts.append(table.take(pa.array(inside)))
            first += size
    return pa.concat_tables(parts).take(pa.array(order))
