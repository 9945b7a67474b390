"""Rows of Parquet files: a few out of a large one, and what is said of a damaged one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval.arrays import Ints
from eval.errors import ReportFault


@contextmanager
def faults_told(file: Path) -> Iterator[None]:
    """Turn what Arrow says of a damaged file into a fault that names the file.

    Raises:
        ReportFault: the block met a file that cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise ReportFault(f"{file}: not a readable {file.suffix} file ({fault})") from fault


def read_rows(path: Path, positions: Ints, columns: Sequence[str]) -> pa.Table:
    """The rows at positions (R,), at least one, counted from 0, in that order.

    Only the row groups that hold them are read. Columns that the file lacks are left out.

    Raises:
        ReportFault: the file is damaged.
    """
    wanted, order = np.unique(positions, return_inverse=True)
    parts, first = [], 0
    with faults_told(path), pq.ParquetFile(path, pre_buffer=False) as file:
        names = [name for name in file.schema_arrow.names if name in columns]
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            inside = wanted[(wanted >= first) & (wanted < first + size)] - first
            if inside.size:
                table = file.read_row_group(group, columns=names)
                parts.append(table.take(pa.array(inside)))
            first += size
        for part in parts:
            part.validate(full=True)
    return pa.concat_tables(parts).take(pa.array(order))
