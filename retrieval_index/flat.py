"""Exact search through FAISS: its fast inner products find candidates, float64 ranks them.

FAISS sums in float32, so near a tie its order is noise. It is therefore asked for a few rows more
than needed, and those are scored again as ``ranking`` defines a score. That is right unless a row
which FAISS left out could still belong to the best k: a float32 inner product of unit vectors is
off by at most D * 2^-24 whatever the order of summation (Higham, Accuracy and Stability of
Numerical Algorithms, section 3.1), so the answer is certain once the k-th score found exceeds
FAISS's lowest candidate by that much. The queries for which it is not certain (many equal rows,
many excluded ones) are looked at again over all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.neighbours import Neighbours
from retrieval_index.ranking import Order, best_first, check_k, pair_scores
from retrieval_index.stack import Stack, Vectors, as_stack

Excluded: TypeAlias = Callable[[IntArray, IntArray], BoolArray]
"""From (B,) query numbers and (B, M) rows: (B, M), True where the query must not find the row."""

_SPARE = 16
_WIDEN = 4
_BLOCK_SCORES = 1 << 24


def not_itself(asking: IntArray) -> Excluded:
    """Exclude from each query's answer the row that it is itself.

    Args:
        asking: (Q,) row numbers of the queries.
    """

    def excluded(queries: IntArray, rows: IntArray) -> BoolArray:
        own: BoolArray = rows == asking[queries][:, np.newaxis]
        return own

    return excluded


def flat_search(
    vectors: Vectors,
    queries: FloatArray,
    k: int,
    *,
    order: Order | None = None,
    excluded: Excluded | None = None,
    expect_excluded: int = 0,
    chunk: int = 1024,
) -> Neighbours:
    """Find the k rows with the largest inner product, equal to ``exact_search`` and faster.

    Args:
        vectors: (N, D) contiguous float32, each of norm 1 (or 0), in one array or in a stack of
            several; may be memory-mapped.
        queries: (Q, D) contiguous float32, each of norm 1 (or 0).
        k: neighbours wanted, at least 1; it may exceed N.
        order: see ``ranking.Order``; None orders ties by row number.
        excluded: says which rows a query must not find; None excludes nothing.
        expect_excluded: how many of a query's best rows are likely to be excluded. It changes
            the time, never the answer.
        chunk: queries worked on at a time. It changes time and memory, never the answer.

    Returns:
        (Q, k) neighbours, filled up with score -inf and row -1.

    Raises:
        MemoryFault: see ``check_k``.
    """
    stack = as_stack(vectors)
    k = check_k(k, len(stack))
    answer = Neighbours.none(len(queries), k)
    if not len(stack):
        return answer
    search = _Search(stack, queries, k, order, excluded)
    wide = k + expect_excluded + _SPARE
    for start in range(0, len(queries), chunk):
        numbers = np.arange(start, min(start + chunk, len(queries)), dtype=np.int64)
        _, rows, limit = faiss_candidates(stack, queries[numbers], wide)
        found, certain = search.settle(numbers, rows, limit)
        answer.scores[numbers], answer.rows[numbers] = found.scores, found.rows
        for query, best in search.look_again(numbers[~certain]):
            answer.scores[query], answer.rows[query] = best.scores[0], best.rows[0]
    return answer


def faiss_candidates(
    stack: Stack, queries: FloatArray, wide: int, *, first: int = 0
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Let FAISS find the best rows of every part of a stack.

    Args:
        stack: (N, D) rows, more than ``first``.
        queries: (B, D).
        wide: how many to find in each part that has so many.
        first: rows before this number are left out.

    Returns:
        (B, M) float32 inner products, (B, M) row numbers, and (B,) the score that no row exceeds
        which was looked at and is not among them; -inf where there is no such row.
    """
    import faiss

    scores, rows = [], []
    limit = np.full(len(queries), -np.inf, dtype=np.float32)
    for start, part in stack.after(first):
        count = min(wide, len(part))
        found, numbers = faiss.knn(queries, part, count, metric=faiss.METRIC_INNER_PRODUCT)
        scores.append(found)
        rows.append(numbers + start)
        if count < len(part):
            np.maximum(limit, found[:, -1], out=limit)
    return np.concatenate(scores, axis=1), np.concatenate(rows, axis=1), limit


class _Search:
    """One call's fixed arguments, and the two ways of working on some of its queries."""

    def __init__(
        self,
        vectors: Stack,
        queries: FloatArray,
        k: int,
        order: Order | None,
        excluded: Excluded | None,
    ) -> None:
        self.vectors = vectors
        self.queries = queries
        self.k = k
        self.order = order
        self.excluded = excluded
        # The bound above, with two roundings to spare for norms a little above 1.
        self.noise = 1.01 * (vectors.shape[1] + 2) * 2.0**-24

    def settle(
        self, numbers: IntArray, rows: IntArray, limit: FloatArray
    ) -> tuple[Neighbours, BoolArray]:
        """Rank (B, M) candidates of B queries, and say of which queries the answer is certain.

        ``limit`` is (B,), the float32 score that no other row exceeds.
        """
        scores = pair_scores(self.vectors, rows, self.queries[numbers])
        if self.excluded is not None:
            scores[self.excluded(numbers, rows)] = -np.inf
        found = best_first(scores, rows, self.order, self.k)
        certain: BoolArray = (found.scores[:, -1] > limit + self.noise) | np.isneginf(limit)
        return found, certain

    def look_again(self, numbers: IntArray) -> list[tuple[int, Neighbours]]:
        """Answer queries over all rows, taking candidates until the answer is certain."""
        answers = []
        block = max(1, _BLOCK_SCORES // len(self.vectors))
        for start in range(0, len(numbers), block):
            part = numbers[start : start + block]
            asked = self.queries[part]
            scores = np.concatenate([asked @ rows.T for rows in self.vectors.parts], axis=1)
            answers += [
                (int(query), self._widen(int(query), line))
                for query, line in zip(part, scores, strict=True)
            ]
        return answers

    def _widen(self, query: int, approximate: FloatArray) -> Neighbours:
        wide = self.k + _SPARE
        while True:
            wide = min(len(approximate), wide * _WIDEN)
            rows = np.argpartition(-approximate, wide - 1)[:wide].astype(np.int64)
            whole = wide == len(approximate)
            limit = -np.inf if whole else approximate[rows].min()
            found, certain = self.settle(
                np.array([query]), rows[np.newaxis], np.array([limit], dtype=np.float32)
            )
            if certain[0]:
                return found
