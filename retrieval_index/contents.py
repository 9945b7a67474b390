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
from retrieval_index.array_files import BadArrayFile, open_array, write_array
from retrieval_index.arrays import BoolArray, FloatArray, IntArray, first_not_finite
from retrieval_index.errors import CorruptMemory, DuplicateId
from retrieval_index.lookup import Lookup
from retrieval_index.manifest import MANIFEST, FileEntry, IndexRecipe, Manifest, SegmentEntry
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import METRICS, metric_named, require_storable
from retrieval_index.row_files import BadRowFile, read_rows, write_rows
from retrieval_index.rows import refuse_repeated
from retrieval_index.segment import Segment
from retrieval_index.soundness import Checked, check_files
from retrieval_index.stack import Stack
from retrieval_index.store import Draft, Store

_SAMPLE = 64
TOLERANCE = 1e-5
"""So much a searchable vector may differ, in a number, from the metric of its vector."""


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
        with draft.write(names["rows"]) as path:
            write_rows(path, segment.rows)
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
        write_array(handle, array)


def load_contents(
    store: Store,
    manifest: Manifest,
    *,
    known: Contents | None = None,
    checked: Checked | None = None,
) -> Contents:
    """Open the files of a version; vectors and rows are memory-mapped.

    Nothing is read from a file before its bytes are known to match the manifest. What lies in it
    is checked as well, as a manifest may vouch for anything; see ``soundness`` for when.

    Args:
        store: where they lie.
        manifest: the version's.
        known: contents that were just written, or opened before: their files, where the version
            names them too, are not opened again, and none is checked.
        checked: what ``check_files`` gave for the version's files; None checks them here.

    Raises:
        CorruptMemory: a file is missing or damaged, or is not what the manifest says; the message
            names it.
    """
    path = store.folder / MANIFEST
    _check_counts(path, manifest)
    if known is not None:
        return _Loader(store, manifest, known, frozenset()).contents()
    if checked is None:
        checked = check_files(store.folder, manifest.all_files())
    if checked.faults:
        raise CorruptMemory("\n".join(checked.faults))
    contents = _Loader(store, manifest, None, checked.fresh).contents()
    if checked.fresh:
        check_contents(store, manifest, contents, checked.fresh)
        checked.accept()
    return contents


def _check_counts(path: Path, manifest: Manifest) -> None:
    """Check that the numbers in a manifest agree, before a file is touched for their sake."""
    if not manifest.segments:
        raise CorruptMemory(f"{path}: names no segment")
    if any(entry.dead > entry.count for entry in manifest.segments):
        raise CorruptMemory(f"{path}: a segment has more deleted rows than rows")
    counted = sum(entry.count - entry.dead for entry in manifest.segments)
    if counted != manifest.count:
        raise CorruptMemory(f"{path}: segments hold {counted} rows, it counts {manifest.count}")
    lying = sum(entry.count for entry in manifest.segments)
    if manifest.index.indexed > lying:
        raise CorruptMemory(
            f"{path}: index.indexed is {manifest.index.indexed}, {lying} rows lie there"
        )
    if manifest.metric not in METRICS:
        raise CorruptMemory(
            f"{path}: no metric is called {manifest.metric!r}; there are: {', '.join(METRICS)}"
        )
    if manifest.version and (manifest.previous or 0) >= manifest.version:
        raise CorruptMemory(
            f"{path}: version {manifest.version} cannot follow version {manifest.previous}"
        )


class _Loader:
    """Opens the files of one version.

    Args:
        store: where they lie.
        manifest: the version's.
        known: see ``load_contents``.
        fresh: paths of the files that are checked before they are handed to others' readers.
    """

    def __init__(
        self, store: Store, manifest: Manifest, known: Contents | None, fresh: frozenset[str]
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._there = _opened(known)
        self._fresh = fresh

    def contents(self) -> Contents:
        """Open all."""
        made = self._manifest
        segments = tuple(self._segment(entry) for entry in made.segments)
        metric_entry = self._named(made.files, "metric")
        metric: Metric | None = self._there.get(metric_entry.path)
        if metric is None:
            path = self._store.locate(metric_entry)
            metric = metric_named(made.metric).load(path)
            if metric.dim not in (None, made.dim):
                raise CorruptMemory(f"{path}: is for dimension {metric.dim}, not {made.dim}")
        index = None
        if made.index.kind != "flat":
            entry = self._named(made.files, "index")
            if entry.path in self._there:
                index = Approximate(self._there[entry.path], made.index, entry)
            else:
                path = self._store.locate(entry)
                check = entry.path in self._fresh
                index = Approximate.load(path, made.index, made.searchable_dim, entry, check=check)
        return Contents(segments, metric, index, metric_entry)

    def _segment(self, entry: SegmentEntry) -> Segment:
        made = self._manifest
        dead = np.empty(0, dtype=np.int64)
        if entry.dead:
            file = self._named(entry.files, "dead")
            known = self._there.get(file.path)
            dead = _read_dead(self._store.locate(file), entry) if known is None else known
        # Before the rows: there cannot be more of them than vectors.
        vectors = self._array(entry, "vectors", made.dim)
        return Segment(
            vectors=vectors,
            searchable=self._array(entry, "searchable", made.searchable_dim),
            rows=self._rows(entry),
            texts=None if made.text_dim is None else self._array(entry, "texts", made.text_dim),
            dead=dead,
            entry=entry,
        )

    def _array(self, entry: SegmentEntry, role: str, dim: int) -> FloatArray:
        file = self._named(entry.files, role)
        if file.path in self._there:
            found: FloatArray = self._there[file.path]
            return found
        return _map_array(self._store.locate(file), (entry.count, dim))

    def _rows(self, entry: SegmentEntry) -> pa.Table:
        file = self._named(entry.files, "rows")
        rows = self._there.get(file.path)
        if rows is not None:
            return rows
        path = self._store.locate(file)
        try:
            rows = read_rows(path)
        except BadRowFile as fault:
            raise CorruptMemory(f"{path}: {fault}") from fault
        if len(rows) != entry.count:
            raise CorruptMemory(f"{path}: holds {len(rows)} rows, the manifest says {entry.count}")
        return rows

    def _named(self, files: Mapping[str, FileEntry], role: str) -> FileEntry:
        try:
            return files[role]
        except KeyError:
            raise CorruptMemory(
                f"{self._store.folder / MANIFEST}: names no file for {role!r}"
            ) from None


def check_contents(
    store: Store, manifest: Manifest, contents: Contents, fresh: frozenset[str]
) -> None:
    """Check what lies in files that were read just now, where a search would not notice.

    Vectors are finite, ids are unique, all segments have the same columns, and the searchable
    vectors of some rows are what the metric makes of their vectors.

    Raises:
        CorruptMemory: the message names the file.
    """
    for segment in contents.segments:
        files = segment.entry.files if segment.entry is not None else {}
        for role in ("vectors", "searchable", "texts"):
            array = getattr(segment, role)
            if array is None or files[role].path not in fresh:
                continue
            row = first_not_finite(array)
            if row is not None:
                raise CorruptMemory(
                    f"{store.folder / files[role].path}: row {row} holds a value that is not a "
                    "finite number"
                )
        first = contents.segments[0]
        if first.entry is not None and not segment.rows.schema.equals(first.rows.schema):
            raise CorruptMemory(
                f"{store.folder / files['rows'].path}: holds the columns "
                f"{segment.rows.column_names}, {first.entry.files['rows'].path} others: "
                f"{first.rows.column_names}"
            )
    try:
        alive = [s.rows.column("id").filter(pa.array(s.alive)) for s in contents.segments]
        chunks = [chunk for column in alive for chunk in column.chunks]
        refuse_repeated(pa.chunked_array(chunks, type=pa.string()))
    except DuplicateId as fault:
        names = ", ".join(s.entry.files["rows"].path for s in contents.segments if s.entry)
        raise CorruptMemory(f"{store.folder}: {names}: {fault}") from fault
    row = _unlike_the_metric(contents)
    if row is not None:
        metric = manifest.files["metric"].path
        raise CorruptMemory(
            f"{store.folder}: row {row}: the searchable vector is not the metric of the vector; "
            f"{metric} is not what they were made with"
        )


def _unlike_the_metric(contents: Contents) -> int | None:
    """Give the first of some rows whose searchable vector is not the metric of its vector."""
    count = contents.lying
    if not count:
        return None
    sample = np.unique(np.linspace(0, count - 1, num=min(count, _SAMPLE)).astype(np.int64))
    with np.errstate(all="ignore"):
        mapped = contents.metric.apply(contents.vectors[sample])
    there = contents.lookup.searchable[sample]
    if mapped.shape != there.shape:
        return int(sample[0])
    fine = np.abs(mapped - there).max(axis=1) <= TOLERANCE
    return None if fine.all() else int(sample[np.argmin(fine)])


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


def _map_array(path: Path, shape: tuple[int, int]) -> FloatArray:
    try:
        array = open_array(path)
    except BadArrayFile as fault:
        raise CorruptMemory(f"{path}: {fault}") from fault
    if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise CorruptMemory(
            f"{path}: holds {array.dtype} of shape {array.shape}, "
            f"the manifest says float32 of shape {shape}"
        )
    return array


def _read_dead(path: Path, entry: SegmentEntry) -> IntArray:
    try:
        dead = open_array(path)
    except BadArrayFile as fault:
        raise CorruptMemory(f"{path}: {fault}") from fault
    fine = dead.dtype == np.int64 and dead.shape == (entry.dead,)
    if not fine or (np.diff(dead) <= 0).any() or dead[0] < 0 or dead[-1] >= entry.count:
        raise CorruptMemory(f"{path}: does not hold {entry.dead} ascending row numbers")
    numbers: IntArray = np.array(dead)
    return numbers
