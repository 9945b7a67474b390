"""The score of a pair, and the order of rows: by score downwards, then by id.

A float32 inner product depends in its last digits on the order of summation, and libraries choose
that order by the size of the batch. Two equal rows could so change places from one call to the
next. Here a score is therefore *defined* as the inner product summed in float64 and then rounded
to float32: the noise of a float64 sum is some 10^8 times smaller than the step of a float32, so
equal rows have equal scores, and ties are real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray, IntArray
from retrieval_index.errors import MemoryFault
from retrieval_index.neighbours import NO_ROW, Neighbours
from retrieval_index.stack import Vectors

Order: TypeAlias = IntArray | Callable[[IntArray], IntArray]
"""The place of each row among the sorted ids: an (N,) array, or a function from row numbers to
numbers that sort as their ids do. A function is asked only where scores tie."""

#: Half a megabyte of float64, so that gathering, widening and multiplying stay in the cache.
_BLOCK_VALUES = 1 << 16


def pair_scores(vectors: Vectors, rows: IntArray, queries: FloatArray) -> FloatArray:
    """Score chosen rows for each query; the same for a pair whatever else is in the call.

    Args:
        vectors: (N, D) float32.
        rows: (Q, M) row numbers in [0, N).
        queries: (Q, D) float32.

    Returns:
        (Q, M) float32, the inner products summed in float64.

    >>> v = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    >>> pair_scores(v, np.array([[1, 0]]), v[:1])
    array([[0.6, 1. ]], dtype=float32)
    """
    return pair_products(vectors, rows, queries).astype(np.float32)


def pair_products(vectors: Vectors, rows: IntArray, queries: FloatArray) -> npt.NDArray[np.float64]:
    """Give the inner products that ``pair_scores`` rounds: same arguments, (Q, M) float64."""
    count, wide = rows.shape
    scores = np.empty((count, wide), dtype=np.float64)
    dim = max(1, vectors.shape[1])
    columns = max(1, min(wide, _BLOCK_VALUES // dim))
    block = max(1, _BLOCK_VALUES // (columns * dim))
    for top in range(0, count, block):
        part = slice(top, top + block)
        for left in range(0, wide, columns):
            chosen = slice(left, left + columns)
            picked = vectors[rows[part, chosen]].astype(np.float64)
            asked = queries[part, :, np.newaxis].astype(np.float64)
            scores[part, chosen] = np.matmul(picked, asked)[..., 0]
    return scores


def best_first(scores: FloatArray, rows: IntArray, order: Order | None, k: int) -> Neighbours:
    """Sort candidates by (-score, place of the row in ``order``) and keep the first k.

    Args:
        scores: (Q, M) float32; -inf marks a candidate that must not be found.
        rows: (Q, M) row numbers in [0, N); what stands beside a -inf does not matter.
        order: see ``Order``; None orders ties by row number.
        k: how many to keep; where M is smaller, the answer is filled up with -inf and -1.

    Returns:
        (Q, k) neighbours.
    """
    found = np.isfinite(scores)
    rows = np.where(found, rows, NO_ROW)
    arrangement = np.lexsort((_ties(scores, rows, order), -scores), axis=-1)[:, :k]
    answer = Neighbours.none(len(rows), k)
    wide = arrangement.shape[1]
    answer.scores[:, :wide] = np.take_along_axis(scores, arrangement, axis=1)
    answer.rows[:, :wide] = np.take_along_axis(rows, arrangement, axis=1)
    return answer


def _ties(scores: FloatArray, rows: IntArray, order: Order | None) -> IntArray:
    if order is None:
        return rows
    if not callable(order):
        places: IntArray = order[rows]
        return places
    ranked = np.sort(scores, axis=-1)
    tied = ((ranked[:, 1:] == ranked[:, :-1]) & np.isfinite(ranked[:, 1:])).any(axis=-1)
    ties = rows.copy()
    if tied.any():
        ties[tied] = order(rows[tied])
    return ties


MOST_NEIGHBOURS = 1 << 20
"""So many neighbours a search gives of any memory, filled up where there are fewer rows."""


def check_k(k: int, rows: int) -> int:
    """Give k back if a search among so many rows can use it.

    Raises:
        MemoryFault: k is below 1, or exceeds both ``rows`` and ``MOST_NEIGHBOURS``.
    """
    if k < 1:
        raise MemoryFault(f"k is {k}; a search needs at least one neighbour (k >= 1)")
    if k > max(rows, MOST_NEIGHBOURS):
        raise MemoryFault(
            f"k is {k}; among {rows:,} rows a search gives at most "
            f"{max(rows, MOST_NEIGHBOURS):,} neighbours"
        )
    return int(k)
