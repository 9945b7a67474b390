"""The memory of one attribute: its training rows in a metric of their own, and looking rows up.

Letters of shapes: M rows of the memory, Q queries, P dimensions of the projected trunk features, S
answers (the values, and "not applicable" behind them where that can be the answer), A answers that
have rows, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.task.class_statistics import ClassStatistics
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

NEIGHBOURS = 5
"""How many of the nearest rows are named."""

_LEAST_SEARCHED = 1024
_SEARCHED_OF_AN_ANSWER = 24
"""Metric and means are fitted on all rows; neighbours are searched among so many, each
answer's own in turn. More of the same few values cost time and change hardly an answer."""

_QUERIES_TOGETHER = 640


class AttributeMemory:
    """The rows whose answer of one attribute is known, and how near others are to them.

    The metric is the attribute's own: features are whitened by the shrunk covariance within its
    answers.

    Attributes:
        counts: (S,) rows of each answer.
        means: (A, P) float32 mean of each answer that has rows, in the metric.
        unit_means: (A, P) the same, scaled to norm 1.
    """

    def __init__(
        self,
        features: FloatArray,
        answers: IntArray,
        answer_count: int,
        *,
        kept: IntArray | None = None,
        statistics: ClassStatistics | None = None,
    ) -> None:
        """Fit the metric and the means.

        Args:
            features: float32 projected trunk features of M rows or more, M >= 1.
            answers: theirs, in [0, S).
            answer_count: S.
            kept: (M,) ascending places of the rows to remember; all if None.
            statistics: of these rows, where they are known.
        """
        places = np.arange(len(answers)) if kept is None else kept
        if statistics is None:
            statistics = ClassStatistics.of(features[places], answers[places], answer_count)
        self.counts = statistics.counts
        self._centre = statistics.centre
        self._map = statistics.whitening()
        order = np.random.default_rng(0).permutation(places)
        most = max(_LEAST_SEARCHED, _SEARCHED_OF_AN_ANSWER * answer_count)
        searched = np.sort(each_answer_in_turn(answers, order, most))
        # The rows of one answer lie together, so that its nearest is found in one sweep.
        self._searched = searched[np.argsort(answers[searched], kind="stable")]
        self._present, self._first = np.unique(answers[self._searched], return_index=True)
        self._rows = _of_norm_1(self._mapped(features[self._searched]))
        self.means = self._mapped(statistics.means)[self._present]
        self.unit_means = _of_norm_1(self.means)

    def look_up(self, features: FloatArray, neighbours: int = NEIGHBOURS) -> Lookup:
        """Look up Q rows, none of which may be among those of the memory.

        Args:
            features: (Q, P) float32 projected trunk features.
            neighbours: K.
        """
        mapped = self._mapped(features)
        unit = _of_norm_1(mapped)
        nearest, rows = self._search(unit, neighbours)
        return Lookup(self, mapped, unit, self.spread(nearest), rows)

    def spread(self, scores: FloatArray) -> FloatArray:
        """Bring the (Q, A) scores of the answers that have rows to (Q, S).

        An answer without a row is as far as the farthest that has one.
        """
        if len(self._present) == len(self.counts):
            return scores
        spread = np.repeat(scores.min(axis=1, keepdims=True), len(self.counts), axis=1)
        spread[:, self._present] = scores
        return spread

    def _mapped(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self._centre) @ self._map, np.float32)

    def _search(self, queries: FloatArray, count: int) -> tuple[FloatArray, IntArray]:
        """Give how near each present answer's nearest row is, and the nearest rows of all.

        Ties among the rows go to the lower answer, then to the earlier row.
        """
        nearest = np.empty((len(queries), len(self._present)), np.float32)
        found = np.full((len(queries), count), -1, np.int64)
        parts = max(1, -(-len(queries) // _QUERIES_TOGETHER))
        # Of nearly equal size: products of a few rows are slow. And one place for all of them.
        step = max(1, -(-len(queries) // parts))
        room = np.empty((step, len(self._rows)), np.float32)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            near = np.matmul(queries[part], self._rows.T, out=room[: len(queries[part])])
            nearest[part] = np.maximum.reduceat(near, self._first, axis=1)
            every = np.arange(len(near))
            for place in range(min(count, len(self._rows))):
                # A few sweeps take a tenth of the time of a partial sort.
                best = near.argmax(axis=1)
                found[part, place] = self._searched[best]
                near[every, best] = -np.inf
        return nearest, found


@dataclass(frozen=True)
class Lookup:
    """Q rows as a memory sees them.

    Attributes:
        memory: that they were looked up in.
        mapped: (Q, P) float32 features in its metric.
        unit: (Q, P) the same, scaled to norm 1.
        nearest: (Q, S) cosine to each answer's nearest row.
        rows: (Q, K) numbers of the nearest rows of all, -1 where there are fewer.
    """

    memory: AttributeMemory
    mapped: FloatArray
    unit: FloatArray
    nearest: FloatArray
    rows: IntArray


def _of_norm_1(mapped: FloatArray) -> FloatArray:
    """Scale (N, P) rows to norm 1, all in float32; a zero stays zero."""
    lengths = np.sqrt(np.einsum("np,np->n", mapped, mapped))
    lengths[lengths == 0.0] = 1.0
    return np.asarray(mapped / lengths[:, None], np.float32)


def each_answer_in_turn(answers: IntArray, order: IntArray, most: int) -> IntArray:
    """Take up to ``most`` places: first one of each answer, then a second, and so on.

    Args:
        answers: (N,) answer of each place; below zero for places that are not to be taken.
        order: places, those to be taken first in front.
        most: how many to take.
    """
    inside = order[answers[order] >= 0]
    if len(inside) <= most:
        return inside
    grouped = np.argsort(answers[inside], kind="stable")
    sizes = np.bincount(answers[inside])
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = np.empty(len(inside), np.int64)
    turn[grouped] = np.arange(len(inside)) - first
    return inside[np.argsort(turn, kind="stable")[:most]]
