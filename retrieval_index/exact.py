"""The exact search in NumPy that every other search is tested against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray, IntArray, as_vectors
from retrieval_index.neighbours import Neighbours
from retrieval_index.ranking import Order, best_first, check_k

_BLOCK_SCORES = 1 << 22
_BLOCK_ROWS = 16_384


def exact_search(
    vectors: npt.ArrayLike, queries: npt.ArrayLike, k: int, *, order: Order | None = None
) -> Neighbours:
    """Find the k rows with the largest inner product, ties by (-score, place in ``order``).

    A score is the inner product summed in float64 and rounded to float32.

    Args:
        vectors: (N, D) rows; N may be 0.
        queries: (Q, D).
        k: neighbours wanted, at least 1; it may exceed N.
        order: see ``ranking.Order``; None orders ties by row number.

    Returns:
        (Q, k) neighbours, filled up with score -inf and row -1 where N < k.

    Raises:
        BadVectors: an array is not (rows, D) of finite floating-point numbers.
        MemoryFault: see ``check_k``.

    >>> v = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    >>> found = exact_search(v, np.array([[1.0, 0.0]]), k=4)
    >>> found.rows
    array([[ 0,  2,  1, -1]])
    >>> found.scores
    array([[  1.,   1.,   0., -inf]], dtype=float32)
    """
    rows = as_vectors(vectors)
    k = check_k(k, len(rows))
    asked = as_vectors(queries, what="queries", dim=rows.shape[1])
    answer = Neighbours.none(len(asked), k)
    if not len(rows):
        return answer
    block = max(1, _BLOCK_SCORES // len(rows))
    for start in range(0, len(asked), block):
        part = slice(start, start + block)
        scores = _all_scores(rows, asked[part])
        for query, line in enumerate(scores, start=start):
            candidates = _at_least_kth(line, k)
            best = best_first(line[np.newaxis, candidates], candidates[np.newaxis], order, k)
            answer.scores[query], answer.rows[query] = best.scores[0], best.rows[0]
    return answer


def _all_scores(rows: FloatArray, queries: FloatArray) -> FloatArray:
    scores = np.empty((len(queries), len(rows)), dtype=np.float32)
    wide = queries.astype(np.float64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        scores[:, part] = wide @ rows[part].astype(np.float64).T
    return scores


def _at_least_kth(scores: FloatArray, k: int) -> IntArray:
    """Give every row that scores no worse than the k-th best, in ascending row number."""
    if k >= len(scores):
        return np.arange(len(scores), dtype=np.int64)
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= kth).astype(np.int64)
