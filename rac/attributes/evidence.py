"""What speaks for each slot of a cell: prompts, near rows, means, a head, and the row's cells.

A slot is one of the attribute's values, or "not applicable" behind them where that can be the
answer. Letters of shapes: M known rows, Q queries, P dimensions of the projected trunk features,
S slots, F kinds of evidence, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.moments import Moments
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

KINDS = (
    "zero-shot",
    "nearest row",
    "nearest of all",
    "value mean",
    "head",
    "cells of the row",
    "rows of the value",
)
"""The kinds of evidence, in the order of the first axis of ``Evidence.scores``."""

MORE_IS_LIKELIER = (True, True, True, True, True, True, False)
"""Whether a kind may only speak for a value, never against it, the more there is of it."""

RETRIEVAL = slice(1, 4)
ROW_CELLS = 5

NEIGHBOURS = 5
"""How many of the nearest rows are told."""

_LEAST_SEARCHED = 1024
_SEARCHED_OF_A_SLOT = 24
"""Metric, means and head are fitted on all known rows; neighbours are searched among so many, each
slot's own in turn. More of the same few values cost time and change hardly an answer."""

_TEMPERATURE = 0.03
_SMOOTHING = 1e-3
_QUERIES_TOGETHER = 640


@dataclass(frozen=True)
class Evidence:
    """What speaks for each slot of Q cells.

    Attributes:
        scores: (F, Q, S) float32, any range; comparable within one kind.
        neighbours: (Q, K) int64, number of the nearest known rows, -1 where there are fewer.
    """

    scores: FloatArray
    neighbours: IntArray


class AttributeMemory:
    """The rows whose slot of one attribute is known, and what they say of other rows.

    The metric is the attribute's own: features are whitened by the shrunk covariance within its
    slots. Each slot is spoken for by its nearest row, so that a slot of a thousand rows has no more
    votes than a slot of one; and by its mean. The base branch beside the memory is the linear
    discriminant of slots that vary alike.
    """

    def __init__(
        self,
        features: FloatArray,
        slots: IntArray,
        slot_count: int,
        *,
        kept: IntArray | None = None,
        moments: Moments | None = None,
    ) -> None:
        """Fit the metric, the means and the head.

        Args:
            features: float32 projected trunk features of M rows or more, M >= 1.
            slots: their slots, in [0, S).
            slot_count: S.
            kept: (M,) ascending places of the rows to remember; all if None.
            moments: of these rows, where they are known.
        """
        places = np.arange(len(slots)) if kept is None else kept
        known = moments or Moments.of(features[places], slots[places], slot_count)
        self.counts = known.counts
        self._centre = known.centre
        self._map = known.whitening()
        self._means = self._mapped(known.means)
        order = np.random.default_rng(0).permutation(places)
        most = max(_LEAST_SEARCHED, _SEARCHED_OF_A_SLOT * slot_count)
        searched = np.sort(each_slot_in_turn(slots, order, most))
        # The rows of one slot lie together, so that its nearest is found in one sweep.
        self._searched = searched[np.argsort(slots[searched], kind="stable")]
        self._present, self._first = np.unique(slots[self._searched], return_index=True)
        self._rows = _of_norm_1(self._mapped(features[self._searched]))

    def evidence(
        self,
        features: FloatArray,
        zero_shot: FloatArray,
        row_cells: FloatArray,
        *,
        neighbours: int = NEIGHBOURS,
    ) -> Evidence:
        """Collect the evidence for Q rows, none of which may be among the known ones.

        Args:
            features: (Q, P) float32 projected trunk features.
            zero_shot: (Q, S) scores from prompts; zeros where there are none.
            row_cells: (Q, S) what the rows' other cells say.
            neighbours: K.
        """
        mapped = self._mapped(features)
        queries = _of_norm_1(mapped)
        scores = np.empty((len(KINDS), *zero_shot.shape), np.float32)
        scores[0] = zero_shot
        nearest, near = self._search(queries, neighbours)
        scores[1] = self._spread(nearest)
        scores[2] = log_shares(scores[1])
        present = self._means[self._present]
        scores[3] = self._spread(queries @ _of_norm_1(present).T)
        scores[4] = self._spread(mapped @ present.T - 0.5 * (present**2).sum(axis=1))
        scores[5] = row_cells
        scores[6] = np.log1p(self.counts)
        return Evidence(scores, near)

    def _mapped(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self._centre) @ self._map, np.float32)

    def _spread(self, scores: FloatArray) -> FloatArray:
        """Bring the scores of the slots that have rows to (Q, S).

        A slot without a known row is as far as the farthest that has one.
        """
        if len(self._present) == len(self.counts):
            return scores
        spread = np.repeat(scores.min(axis=1, keepdims=True), len(self.counts), axis=1)
        spread[:, self._present] = scores
        return spread

    def _search(self, queries: FloatArray, count: int) -> tuple[FloatArray, IntArray]:
        """Give how near each present slot's nearest row is, and the nearest rows of all.

        Ties among the rows go to the lower slot, then to the earlier row.
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


def _of_norm_1(mapped: FloatArray) -> FloatArray:
    """Scale (N, P) rows to norm 1, all in float32; a zero stays zero."""
    lengths = np.sqrt(np.einsum("np,np->n", mapped, mapped))
    lengths[lengths == 0.0] = 1.0
    return np.asarray(mapped / lengths[:, None], np.float32)


def log_shares(nearest: FloatArray) -> FloatArray:
    """Turn how near each slot is into the log of its share in all, smoothed.

    Args:
        nearest: (Q, S) cosines.
    """
    weights = np.exp((nearest - nearest.max(axis=1, keepdims=True)) / _TEMPERATURE)
    weights /= weights.sum(axis=1, keepdims=True)
    slots = max(1, nearest.shape[1])
    return np.asarray(np.log((1 - _SMOOTHING) * weights + _SMOOTHING / slots), np.float32)


def each_slot_in_turn(slots: IntArray, order: IntArray, most: int) -> IntArray:
    """Take up to ``most`` places: first one of each slot, then a second, and so on.

    Args:
        slots: (N,) slot of each place; below zero for places that are not to be taken.
        order: places, those to be taken first in front.
        most: how many to take.
    """
    inside = order[slots[order] >= 0]
    if len(inside) <= most:
        return inside
    grouped = np.argsort(slots[inside], kind="stable")
    sizes = np.bincount(slots[inside])
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = np.empty(len(inside), np.int64)
    turn[grouped] = np.arange(len(inside)) - first
    return inside[np.argsort(turn, kind="stable")[:most]]
