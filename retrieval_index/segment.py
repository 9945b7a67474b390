"""Rows that were written together, and which of them are deleted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.manifest import SegmentEntry


def _none() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Segment:
    """M rows of a memory, side by side in arrays that are never changed.

    Attributes:
        vectors: (M, D) float32, as they were given.
        searchable: (M, D') float32, the vectors under the metric.
        rows: M rows that have passed ``check_rows``.
        texts: (M, E) float32 text vectors, zero where a row has no text; None where the memory
            keeps none.
        dead: numbers of the deleted rows, ascending, in [0, M).
        entry: the files that hold it; None for one that is only in RAM. An entry without ``dead``
            says that the deletions are not stored yet.
    """

    vectors: FloatArray
    searchable: FloatArray
    rows: pa.Table
    texts: FloatArray | None = None
    dead: IntArray = field(default_factory=_none)
    entry: SegmentEntry | None = None

    def __len__(self) -> int:
        """Give M, the deleted rows included."""
        return len(self.rows)

    @property
    def alive(self) -> BoolArray:
        """Give (M,) truth values, False where a row is deleted."""
        alive = np.ones(len(self), dtype=np.bool_)
        alive[self.dead] = False
        return alive

    def without(self, gone: IntArray) -> Segment:
        """Give the segment with more rows deleted."""
        if not len(gone):
            return self
        entry = self.entry
        if entry is not None:
            files = {role: file for role, file in entry.files.items() if role != "dead"}
            entry = entry.model_copy(update={"files": files})
        return replace(self, dead=np.union1d(self.dead, gone).astype(np.int64), entry=entry)

    def without_rows(self) -> Segment:
        """Give a segment in RAM of the same dimensions, columns and no rows."""
        return Segment(
            vectors=self.vectors[:0],
            searchable=self.searchable[:0],
            rows=self.rows.slice(0, 0),
            texts=None if self.texts is None else self.texts[:0],
        )

    def purged(self) -> Segment:
        """Give a segment in RAM that holds only the rows which are not deleted."""
        if not len(self.dead):
            return self
        alive = self.alive
        return Segment(
            vectors=self.vectors[alive],
            searchable=self.searchable[alive],
            rows=self.rows.filter(pa.array(alive)).combine_chunks(),
            texts=None if self.texts is None else self.texts[alive],
        )


def joined(first: Segment, second: Segment) -> Segment:
    """Put two segments on top of each other, in RAM, without their deleted rows."""
    a, b = first.purged(), second.purged()
    both_have_texts = a.texts is not None and b.texts is not None
    return Segment(
        vectors=np.concatenate([a.vectors, b.vectors]),
        searchable=np.concatenate([a.searchable, b.searchable]),
        rows=pa.concat_tables([a.rows, b.rows]).combine_chunks(),
        texts=np.concatenate([a.texts, b.texts]) if both_have_texts else None,
    )
