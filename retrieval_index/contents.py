"""What a version of a memory holds, and the files that hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval_index.approximate import Approximate
from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.errors import CorruptMemory
from retrieval_index.lookup import Lookup
from retrieval_index.manifest import FileEntry, IndexRecipe, Manifest, SegmentEntry
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import metric_named, require_storable
from retrieval_index.rows import COLUMNS
from retrieval_index.segment import Segment
from retrieval_index.stack import Stack
from retrieval_index.store import Draft, Store


@dataclass(frozen=True, eq=False)
class Contents:
    """Segments on top of each other, with what makes them searchable.

    Rows are numbered as they lie in the segments, the deleted ones included.

    Attributes:
        segments: at least one; it may have no rows.
        metric: the fitted metric.
        index: an approximate index over the first rows; None for the exact search.
        metric_entry: the file that holds the metric; None while it is only in RAM.
    """

    segments: tuple[Segment, ...]
    metric: Metric
    index: Approximate | None = None
    metric_entry: FileEntry | None = None

    @property
    def lying(self) -> int:
        """Give the number of rows, the deleted ones included."""
        return sum(map(len, self.segments))

    @property
    def dead(self) -> int:
        """Give the number of deleted rows that still lie there."""
        return sum(len(segment.dead) for segment in self.segments)

    @property
    def recipe(self) -> IndexRecipe:
        """Give what the index is."""
        return IndexRecipe() if self.index is None else self.index.recipe

    @property
    def dim(self) -> int:
        """Give D, of the vectors as they were given."""
        return int(self.segments[0].vectors.shape[1])

    @cached_property
    def alive(self) -> BoolArray | None:
        """Give truth values for all rows, False where deleted; None where none is."""
        if not self.dead:
            return None
        return np.concatenate([segment.alive for segment in self.segments])

    @cached_property
    def ids(self) -> pa.ChunkedArray:
        """Give the ids of all rows."""
        chunks = [c for s in self.segments for c in s.rows.column("id").chunks]
        return pa.chunked_array(chunks, type=pa.string())

    @cached_property
    def vectors(self) -> Stack:
        """Give the vectors of all rows."""
        return Stack([segment.vectors for segment in self.segments])

    @cached_property
    def lookup(self) -> Lookup:
        """Give the search under the metric."""
        stack = Stack([segment.searchable for segment in self.segments])
        return Lookup(stack, self.ids, self.alive, self.index)

    @cached_property
    def text_lookup(self) -> Lookup | None:
        """Give the search in the texts, among the rows that have one; None without texts."""
        parts = [segment.texts for segment in self.segments if segment.texts is not None]
        if len(parts) != len(self.segments):
            return None
        told = np.concatenate([part.any(axis=1) for part in parts])
        return Lookup(
            Stack(parts), self.ids, told if self.alive is None else told & self.alive, None
        )


def write_contents(draft: Draft, contents: Contents) -> Contents:
    """Write what has no file yet, and give the contents with all entries.

    Raises:
        MemoryFault: the metric is of a kind that could not be read back.
    """
    metric = contents.metric
    require_storable(metric)
    segments = tuple(
        _write_segment(draft, segment, number) for number, segment in enumerate(contents.segments)
    )
    metric_entry = contents.metric_entry
    if metric_entry is None:
        with draft.write("metric.npz") as path:
            metric.save(path)
        metric_entry = draft.entry("metric.npz")
    index = contents.index
    if index is not None and index.entry is None:
        with draft.write("index.faiss") as path:
            index.save(path)
        index = Approximate(index.index, index.recipe, draft.entry("index.faiss"))
    return Contents(segments, metric, index, metric_entry)


def _write_segment(draft: Draft, segment: Segment, number: int) -> Segment:
    entry = segment.entry
    if entry is None:
        suffix = f"-{number}" if number else ""
        arrays = {"vectors": segment.vectors, "searchable": segment.searchable}
        if segment.texts is not None:
            arrays["texts"] = segment.texts
        names = {role: f"{role}{suffix}.npy" for role in arrays} | {"rows": f"rows{suffix}.arrow"}
        for role, array in arrays.items():
            _write_array(draft, names[role], array)
        schema = segment.rows.schema
        with draft.write(names["rows"]) as path, pa.ipc.new_file(str(path), schema) as table:
            table.write_table(segment.rows)
        entry = SegmentEntry(
            count=len(segment), files={role: draft.entry(name) for role, name in names.items()}
        )
    if len(segment.dead) and "dead" not in entry.files:
        name = f"dead-{number}.npy"
        _write_array(draft, name, segment.dead)
        entry = entry.model_copy(
            update={
                "dead": len(segment.dead),
                "files": {**entry.files, "dead": draft.entry(name)},
            }
        )
    return replace(segment, entry=entry)


def _write_array(draft: Draft, name: str, array: np.ndarray[Any, Any]) -> None:
    with draft.write(name) as path, open(path, "wb") as handle:
        np.save(handle, array, allow_pickle=False)


def load_contents(store: Store, manifest: Manifest, *, known: Contents | None = None) -> Contents:
    """Open the files of a version; vectors and rows are memory-mapped.

    Args:
        store: where they lie.
        manifest: the version's.
        known: contents whose files, where the version names them too, are not opened again.

    Raises:
        CorruptMemory: a file is missing or damaged, or is not what the manifest says; the message
            names it.
    """
    there = _opened(known)
    segments = tuple(_load_segment(store, manifest, entry, there) for entry in manifest.segments)
    if not segments:
        raise CorruptMemory(f"{store.folder}: the manifest names no segment")
    counted = sum(entry.count - entry.dead for entry in manifest.segments)
    if counted != manifest.count:
        raise CorruptMemory(
            f"{store.folder}: segments hold {counted} rows, the manifest counts {manifest.count}"
        )
    metric_entry = _named(manifest.files, "metric", store)
    metric: Metric | None = there.get(metric_entry.path)
    if metric is None:
        path = store.locate(metric_entry)
        metric = metric_named(manifest.metric).load(path)
        if metric.dim not in (None, manifest.dim):
            raise CorruptMemory(f"{path}: is for dimension {metric.dim}, not {manifest.dim}")
    index = None
    if manifest.index.kind != "flat":
        entry = _named(manifest.files, "index", store)
        if entry.path in there:
            index = Approximate(there[entry.path], manifest.index, entry)
        else:
            path = store.locate(entry)
            index = Approximate.load(path, manifest.index, manifest.searchable_dim, entry)
    return Contents(segments, metric, index, metric_entry)


def _opened(known: Contents | None) -> dict[str, Any]:
    """Give what is open already, by the path of its file."""
    if known is None:
        return {}
    there: dict[str, Any] = {}
    for segment in known.segments:
        if segment.entry is not None:
            for role, entry in segment.entry.files.items():
                array = getattr(segment, role)
                # What is only in RAM is mapped from its file once it has one.
                if role in ("dead", "rows") or isinstance(array, np.memmap):
                    there[entry.path] = array
    if known.metric_entry is not None:
        there[known.metric_entry.path] = known.metric
    if known.index is not None and known.index.entry is not None:
        there[known.index.entry.path] = known.index.index
    return there


def _load_segment(
    store: Store, manifest: Manifest, entry: SegmentEntry, there: Mapping[str, Any]
) -> Segment:
    def array(role: str, dim: int) -> FloatArray:
        file = _named(entry.files, role, store)
        if file.path in there:
            found: FloatArray = there[file.path]
            return found
        return _map_array(store.locate(file), (entry.count, dim))

    rows_file = _named(entry.files, "rows", store)
    rows = there.get(rows_file.path)
    if rows is None:
        rows = _map_rows(store.locate(rows_file), entry.count)
    dead = np.empty(0, dtype=np.int64)
    if entry.dead:
        file = _named(entry.files, "dead", store)
        known = there.get(file.path)
        dead = _read_dead(store.locate(file), entry) if known is None else known
    return Segment(
        vectors=array("vectors", manifest.dim),
        searchable=array("searchable", manifest.searchable_dim),
        rows=rows,
        texts=None if manifest.text_dim is None else array("texts", manifest.text_dim),
        dead=dead,
        entry=entry,
    )


def _named(files: Mapping[str, FileEntry], role: str, store: Store) -> FileEntry:
    try:
        return files[role]
    except KeyError:
        raise CorruptMemory(f"{store.folder}: the manifest names no file for {role!r}") from None


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


def _read_dead(path: Path, entry: SegmentEntry) -> IntArray:
    try:
        dead = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as fault:
        raise CorruptMemory(f"{path}: not a readable array ({fault})") from fault
    fine = dead.dtype == np.int64 and dead.shape == (entry.dead,)
    if not fine or (np.diff(dead) <= 0).any() or dead[0] < 0 or dead[-1] >= entry.count:
        raise CorruptMemory(f"{path}: does not hold {entry.dead} ascending row numbers")
    numbers: IntArray = dead
    return numbers


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
