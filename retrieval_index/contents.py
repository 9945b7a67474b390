"""The four parts of a memory, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from retrieval_index.arrays import FloatArray
from retrieval_index.errors import CorruptMemory, MemoryFault
from retrieval_index.manifest import FileEntry, Manifest
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import METRICS, metric_named
from retrieval_index.rows import COLUMNS
from retrieval_index.store import Draft, Store


@dataclass(frozen=True, eq=False)
class Contents:
    """What a version of a memory holds.

    Attributes:
        vectors: (N, D) float32, as they were given.
        searchable: (N, D') float32, the vectors under the metric.
        rows: N rows that have passed ``check_rows``.
        metric: the fitted metric.
    """

    vectors: FloatArray
    searchable: FloatArray
    rows: pa.Table
    metric: Metric


def write_contents(draft: Draft, contents: Contents, *, metric: FileEntry | None = None) -> None:
    """Write the files of a version; ``metric`` names a file that holds the metric already.

    Raises:
        MemoryFault: the metric is of a kind that could not be read back.
    """
    if METRICS.get(contents.metric.name) is not type(contents.metric):
        raise MemoryFault(
            f"a {type(contents.metric).__name__} cannot be stored in a folder; "
            f"those that can: {', '.join(METRICS)}"
        )
    for role, array in (("vectors", contents.vectors), ("searchable", contents.searchable)):
        with draft.write(role, f"{role}.npy") as path, open(path, "wb") as handle:
            np.save(handle, array, allow_pickle=False)
    schema = contents.rows.schema
    with draft.write("rows", "rows.arrow") as path, pa.ipc.new_file(str(path), schema) as table:
        table.write_table(contents.rows)
    if metric is not None:
        draft.share("metric", metric)
    else:
        with draft.write("metric", "metric.npz") as path:
            contents.metric.save(path)


def load_contents(store: Store, manifest: Manifest) -> Contents:
    """Open the files of a version; vectors and rows are memory-mapped.

    Raises:
        CorruptMemory: a file is missing or damaged, or is not what the manifest says; the message
            names it.
    """
    count = manifest.count
    metric = metric_named(manifest.metric).load(store.locate(manifest, "metric"))
    if metric.dim not in (None, manifest.dim):
        path = store.locate(manifest, "metric")
        raise CorruptMemory(f"{path}: is for dimension {metric.dim}, not {manifest.dim}")
    return Contents(
        _map_array(store.locate(manifest, "vectors"), (count, manifest.dim)),
        _map_array(store.locate(manifest, "searchable"), (count, manifest.searchable_dim)),
        _map_rows(store.locate(manifest, "rows"), count),
        metric,
    )


def _map_array(path: Path, shape: tuple[int, int]) -> FloatArray:
    try:
        # An array without rows has no bytes to map.
        array = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as fault:
        raise CorruptMemory(f"{path}: not a readable array ({fault})") from fault
    if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise CorruptMemory(
            f"{path}: holds {array.dtype} of shape {array.shape}, "
            f"the manifest says float32 of shape {shape}"
        )
    vectors: FloatArray = array
    return vectors


def _map_rows(path: Path, count: int) -> pa.Table:
    try:
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError) as fault:
        raise CorruptMemory(f"{path}: not a readable table ({fault})") from fault
    if len(rows) != count or tuple(rows.column_names[: len(COLUMNS)]) != COLUMNS:
        raise CorruptMemory(
            f"{path}: holds {len(rows)} rows of {rows.column_names}, the manifest says {count} rows"
        )
    return rows
