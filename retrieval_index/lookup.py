"""The search over the rows of a memory as they lie: index, rows that came later, deletions.

Rows are numbered as they lie in the segments, the deleted ones included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import pyarrow as pa

from retrieval_index.approximate import Approximate, few_threads, score_proposals
from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.flat import Excluded, faiss_candidates, flat_search
from retrieval_index.neighbours import NO_ROW, Neighbours
from retrieval_index.ranking import best_first, check_k, pair_scores
from retrieval_index.stack import Stack

CHUNK = 1024
_SPARE = 4
_WIDEN = 4
_MOST_DEAD_EXPECTED = 64
#: Below this many numbers (rows times dimensions) all allowed rows are looked at.
_FEW_NUMBERS = 1 << 24


class Lookup:
    """Searches one stack of vectors.

    Args:
        searchable: (N, D') float32, unit norm.
        ids: N ids.
        alive: (N,) truth values, False where a row must never be found; None where all may be.
        index: an approximate index over the first rows, or None for the exact search.
    """

    def __init__(
        self,
        searchable: Stack,
        ids: pa.ChunkedArray,
        alive: BoolArray | None,
        index: Approximate | None,
    ) -> None:
        self.searchable = searchable
        self.alive = alive
        self.index = index
        self.ids = ids

    @cached_property
    def _count_alive(self) -> int:
        return len(self.searchable) if self.alive is None else int(self.alive.sum())

    def search(
        self,
        queries: FloatArray,
        k: int,
        *,
        excluded: Excluded | None = None,
        expect_excluded: int = 0,
        allowed: BoolArray | None = None,
        exact: bool = False,
    ) -> Neighbours:
        """Find the k best rows of each query; ties by (-score, id).

        Args:
            queries: (Q, D') under the metric.
            k: neighbours wanted, at least 1.
            excluded: rows that a query must not find.
            expect_excluded: how many of a query's best rows are likely to be excluded.
            allowed: (N,) truth values, the rows that any query may find; None allows all.
            exact: look at every row, whatever index there is.

        Returns:
            (Q, k) neighbours, filled up with score -inf and row -1.

        Raises:
            MemoryFault: see ``check_k``.
        """
        k = check_k(k, len(self.searchable))
        if allowed is not None:
            if self.alive is not None:
                allowed = allowed & self.alive
            few = allowed.sum() * self.searchable.shape[1] <= _FEW_NUMBERS
            if exact or few or self.index is None:
                return self._among(allowed, queries, k, excluded, expect_excluded)
        if exact or self.index is None:
            return self._exact(queries, k, excluded, expect_excluded)
        answer = Neighbours.none(len(queries), k)
        for start in range(0, len(queries), CHUNK):
            numbers = np.arange(start, min(start + CHUNK, len(queries)), dtype=np.int64)
            found = self._approximate(numbers, queries, k, excluded, expect_excluded, allowed)
            answer.scores[numbers], answer.rows[numbers] = found.scores, found.rows
        return answer

    def _exact(
        self, queries: FloatArray, k: int, excluded: Excluded | None, expect_excluded: int
    ) -> Neighbours:
        alive = self.alive
        if alive is not None:
            expect_excluded += min(_MOST_DEAD_EXPECTED, len(alive) - self._count_alive)
            excluded = _or_not_in(alive, excluded)
        return flat_search(
            self.searchable,
            queries,
            k,
            order=self.order,
            excluded=excluded,
            expect_excluded=expect_excluded,
            chunk=CHUNK,
        )

    def _among(
        self,
        allowed: BoolArray,
        queries: FloatArray,
        k: int,
        excluded: Excluded | None,
        expect_excluded: int,
    ) -> Neighbours:
        """Search among the allowed rows alone, exactly."""
        chosen: IntArray = np.flatnonzero(allowed)
        found = flat_search(
            np.ascontiguousarray(self.searchable[chosen]),
            queries,
            k,
            order=lambda rows: self.order(chosen[rows]),
            excluded=_translated(excluded, chosen),
            expect_excluded=expect_excluded,
            chunk=CHUNK,
        )
        missing = found.rows < 0
        if len(chosen):
            found.rows[:] = np.where(missing, NO_ROW, chosen[found.rows])
        return found

    def _approximate(
        self,
        numbers: IntArray,
        queries: FloatArray,
        k: int,
        excluded: Excluded | None,
        expect_excluded: int,
        allowed: BoolArray | None,
    ) -> Neighbours:
        """Answer some of the queries; those that find too few look further, at last everywhere."""
        mask = self.alive if allowed is None else allowed
        answer = Neighbours.none(len(numbers), k)
        pending = np.arange(len(numbers))
        first = k + expect_excluded
        for wanted in (first, first * _WIDEN):
            with few_threads(len(pending)):
                found = self._among_proposals(numbers[pending], queries, k, excluded, wanted, mask)
            answer.scores[pending], answer.rows[pending] = found.scores, found.rows
            pending = pending[found.rows[:, -1] < 0]
            if not len(pending):
                return answer
        asked = numbers[pending]
        beyond = None if excluded is None else _renumbered(excluded, asked)
        some = queries[asked]
        found = (
            self._exact(some, k, beyond, expect_excluded)
            if allowed is None
            else self._among(allowed, some, k, beyond, expect_excluded)
        )
        answer.scores[pending], answer.rows[pending] = found.scores, found.rows
        return answer

    def _among_proposals(
        self,
        numbers: IntArray,
        queries: FloatArray,
        k: int,
        excluded: Excluded | None,
        wanted: int,
        mask: BoolArray | None,
    ) -> Neighbours:
        index = self.index
        if index is None:  # the callers have looked
            raise AssertionError("there is no index")
        asked = np.ascontiguousarray(queries[numbers])
        rows = index.propose(asked, wanted, mask)
        # Near a tie the order of float32 sums is noise, so a few more are scored in float64.
        wide = wanted + _SPARE
        scores = score_proposals(self.searchable, asked, rows)
        if index.recipe.indexed < len(self.searchable):
            later, beyond, _ = faiss_candidates(
                self.searchable, asked, wide, first=index.recipe.indexed
            )
            if mask is not None:
                later = np.where(mask[beyond], later, np.float32(-np.inf))
            scores = np.concatenate([scores, later], axis=1)
            rows = np.concatenate([rows, beyond], axis=1)
        if rows.shape[1] > wide:
            best = np.argpartition(-scores, wide - 1, axis=1)[:, :wide]
            scores = np.take_along_axis(scores, best, axis=1)
            rows = np.take_along_axis(rows, best, axis=1)
        there = np.isfinite(scores)
        rows = np.where(there, rows, 0)
        settled = pair_scores(self.searchable, rows, asked)
        settled[~there] = -np.inf
        if excluded is not None:
            settled[excluded(numbers, rows)] = -np.inf
        return best_first(settled, rows, self.order, k)

    def order(self, rows: IntArray) -> IntArray:
        """Give numbers for rows that sort as their ids do by code point; (…) to (…)."""
        distinct, where = np.unique(rows, return_inverse=True)
        names = self.ids.take(pa.array(np.maximum(distinct, 0))).to_pylist()
        places = np.empty(len(names), dtype=np.int64)
        places[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        ranked: IntArray = places[where].reshape(rows.shape)
        return ranked


def _or_not_in(alive: BoolArray, excluded: Excluded | None) -> Excluded:
    def either(queries: IntArray, rows: IntArray) -> BoolArray:
        hidden: BoolArray = ~alive[rows]
        return hidden if excluded is None else hidden | excluded(queries, rows)

    return either


def _translated(excluded: Excluded | None, chosen: IntArray) -> Excluded | None:
    if excluded is None:
        return None
    given = excluded
    return lambda queries, rows: given(queries, chosen[rows])


def _renumbered(excluded: Callable[[IntArray, IntArray], BoolArray], asked: IntArray) -> Excluded:
    return lambda queries, rows: excluded(asked[queries], rows)
