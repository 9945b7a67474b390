"""Rows added and deleted: from contents to contents, without touching what lies there.

An edit writes what is new. So that many small edits do not leave many small segments, the last
ones are written together once they are small, or not much larger than what comes after them; each
row is so written again a logarithmic number of times. Segments in an approximate index stay as
they are, because it knows their rows by number; once many rows lie behind them, these are added
to the index, which is not trained anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval_index.approximate import Approximate
from retrieval_index.arrays import IntArray
from retrieval_index.building import Batch, checked
from retrieval_index.contents import Contents
from retrieval_index.errors import DuplicateId, UnknownId
from retrieval_index.rows import like_columns, named, refuse_known
from retrieval_index.segment import Segment, joined
from retrieval_index.stack import Stack
from retrieval_index.tuning import measured_recall

SMALL_ROWS = 16_384
"""A segment of at most so many rows is written again rather than kept with deleted rows."""

MOST_BEHIND = 20_000
"""So many rows may lie behind the index, or a twentieth of its own where that is more."""

_NOT_MUCH_LARGER = 2


def with_rows(contents: Contents, batch: Batch) -> Contents:
    """Add rows below those that are there.

    A memory without rows fits its metric to the first ones it gets.

    Raises:
        BadVectors, BadRows, DuplicateId: see ``checked``; or an id is in the memory already.
    """
    first = contents.segments[0]
    text_dim = None if first.texts is None else first.texts.shape[1]
    vectors, given, texts = checked(batch, dim=contents.dim, text_dim=text_dim)
    rows = like_columns(given, first.rows.schema)
    metric = contents.metric
    empty = contents.lying == contents.dead
    if empty:
        metric = type(metric).fit(vectors, rows.column("label").to_pylist())
    segment = Segment(vectors, metric.apply(vectors), rows, texts)
    if empty:
        return Contents((segment,), metric)
    refuse_known(rows.column("id"), _ids_there(contents, rows.column("id")))
    grown = replace(contents, segments=(*contents.segments, segment))
    return _tidied(_counted(grown, len(segment)))


def without_ids(contents: Contents, ids: Collection[str], *, missing_is_fine: bool) -> Contents:
    """Delete rows by id.

    Raises:
        UnknownId: an id is not there, unless ``missing_is_fine``; the first few are named.
        DuplicateId: an id is given twice.
    """
    wanted = pa.array(list(ids), type=pa.string())
    if len(set(ids)) != len(wanted):
        raise DuplicateId("an id to delete is given twice")
    gone = [_rows_of(segment, wanted) for segment in contents.segments]
    found = sum(map(len, gone))
    if found < len(wanted) and not missing_is_fine:
        there = _ids_there(contents, pa.chunked_array([wanted]))
        unknown = [
            i for i, known in zip(wanted.to_pylist(), there.to_pylist(), strict=True) if not known
        ]
        raise UnknownId(f"{named(unknown)} not in the memory, so nothing is deleted")
    if not found:
        return contents
    segments = tuple(s.without(rows) for s, rows in zip(contents.segments, gone, strict=True))
    return _tidied(_counted(replace(contents, segments=segments), found))


def _rows_of(segment: Segment, wanted: pa.Array) -> IntArray:
    """Give the numbers of the rows, deleted ones left out, whose id is wanted."""
    hit = pc.is_in(segment.rows.column("id"), value_set=wanted).to_numpy()
    rows: IntArray = np.flatnonzero(hit & segment.alive if len(segment.dead) else hit)
    return rows


def _ids_there(contents: Contents, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Say of each id whether a row that is not deleted has it."""
    values = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(values, pa.ChunkedArray):  # pyarrow gives a chunked array for no chunks
        values = pa.array([], type=pa.string())
    held = [
        segment.rows.column("id").take(pa.array(_rows_of(segment, values)))
        for segment in contents.segments
    ]
    chunks = [chunk for column in held for chunk in column.chunks]
    return pc.is_in(ids, value_set=pa.chunked_array(chunks, type=pa.string()))


def _counted(contents: Contents, edited: int) -> Contents:
    """Note in the recipe that rows have changed since its recall was measured."""
    index = contents.index
    if index is None:
        return contents
    recipe = index.recipe.model_copy(update={"edited": index.recipe.edited + edited})
    return replace(contents, index=Approximate(index.index, recipe, index.entry))


def _tidied(contents: Contents) -> Contents:
    """Write small segments together, and take what lies behind the index into it."""
    indexed = contents.recipe.indexed
    kept: list[Segment] = []
    behind: list[Segment] = []
    start = 0
    for segment in contents.segments:
        (kept if start < indexed else behind).append(segment)
        start += len(segment)
    behind = [s.purged() if len(s) <= SMALL_ROWS else s for s in behind]
    behind = [s for s in behind if len(s)]
    while len(behind) > 1 and behind[-1].entry is None and _small_before(behind):
        last = behind.pop()
        behind[-1] = joined(behind[-1], last)
    segments = tuple(kept + behind) or (contents.segments[0].without_rows(),)
    return _absorbed(replace(contents, segments=segments))


def _small_before(behind: list[Segment]) -> bool:
    before, last = len(behind[-2]), len(behind[-1])
    return before <= _NOT_MUCH_LARGER * last or before + last <= SMALL_ROWS


def _absorbed(contents: Contents) -> Contents:
    index = contents.index
    if index is None:
        return contents
    behind = contents.lying - index.recipe.indexed
    if behind <= max(MOST_BEHIND, index.recipe.indexed // 20):
        return contents
    extended = index.extended(Stack([segment.searchable for segment in contents.segments]))
    grown = replace(contents, index=extended)
    recipe = extended.recipe.model_copy(
        update={"measured_recall": round(measured_recall(grown.lookup), 4), "edited": 0}
    )
    return replace(contents, index=Approximate(extended.index, recipe))
