"""What speaks for each slot of a cell: prompts, near rows, means, a head, and the row's cells.

A slot is one of the attribute's values, or "not applicable" behind them where that can be the
answer. Letters of shapes: M known rows, Q queries, P dimensions of the projected trunk features,
R dimensions of the attribute's own metric, S slots, F kinds of evidence, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, eigh, lapack  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rac.encoders.base import FloatArray
from retrieval_index.arrays import unit_norm

IntArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

KINDS = (
    "zero-shot",
    "nearest rows",
    "near rows",
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

NEIGHBOURS = 16
METRIC_DIMENSIONS = 64
_LEAST_SEARCHED = 1024
_SEARCHED_OF_A_SLOT = 64
"""Metric, means and head are fitted on all known rows; neighbours are searched among so many, each
slot's own in turn. More of the same few values cost time and change hardly an answer."""

_TEMPERATURES = (0.03, 0.1)
_GAMMA = 0.7
_SMOOTHING = 1e-3
_SHRINKAGE = 0.2
_HEAD_RIDGE = 0.05
_LEAST_SCALE = 1e-4


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
    slots, and of the whitened directions those are kept along which the rows vary most. The base
    branch beside the memory is a ridge regression on the slots, each slot's rows weighing the same
    in total up to a power.
    """

    def __init__(
        self,
        features: FloatArray,
        slots: IntArray,
        slot_count: int,
        *,
        scatter: Doubles | None = None,
    ) -> None:
        """Fit the metric, the means and the head.

        Args:
            features: (M, P) float32 projected trunk features.
            slots: (M,) slot of each row, in [0, S).
            slot_count: S.
            scatter: (P, P) what :func:`scatter_of` gives of the features, where it is known.
        """
        self.counts = np.bincount(slots, minlength=slot_count)
        self._centre = features.mean(axis=0)
        centred = features - self._centre
        about_zero = scatter_of(features) if scatter is None else scatter
        mean = self._centre.astype(np.float64)
        total = about_zero - len(features) * np.outer(mean, mean)
        least = _LEAST_SCALE * float(np.trace(about_zero)) / len(mean)
        self._map = _metric(total, _sums(centred, slots, slot_count), self.counts, least)
        mapped = unit_norm(centred @ self._map)
        order = np.random.default_rng(0).permutation(len(slots))
        most = max(_LEAST_SEARCHED, _SEARCHED_OF_A_SLOT * slot_count)
        self._searched = np.sort(each_slot_in_turn(slots, order, most))
        self._rows = np.ascontiguousarray(mapped[self._searched])
        self._slots = slots[self._searched]
        self._voting = np.bincount(self._slots, minlength=slot_count)
        self._means = unit_norm(_sums(mapped, slots, slot_count))
        self._head = _head(centred, slots, self.counts)

    def evidence(
        self, features: FloatArray, zero_shot: FloatArray, row_cells: FloatArray
    ) -> Evidence:
        """Collect the evidence for Q rows, none of which may be among the known ones.

        Args:
            features: (Q, P) float32 projected trunk features.
            zero_shot: (Q, S) scores from prompts; zeros where there are none.
            row_cells: (Q, S) what the rows' other cells say.
        """
        centred = features - self._centre
        queries = unit_norm(centred @ self._map)
        scores = np.empty((len(KINDS), *zero_shot.shape), np.float32)
        scores[0] = zero_shot
        near, neighbours = self._search(queries)
        voters = np.where(neighbours >= 0, self._slots[neighbours.clip(min=0)], 0)
        for place, temperature in enumerate(_TEMPERATURES, start=1):
            scores[place] = votes(near, voters, self._voting, temperature)
        nearness = queries @ self._means.T
        # A slot without a known row is as far as the farthest that has one.
        scores[3] = np.where(self.counts > 0, nearness, nearness.min(axis=1, keepdims=True))
        np.matmul(centred, self._head, out=scores[4])
        scores[5] = row_cells
        scores[6] = np.log1p(self.counts)
        found = np.where(neighbours >= 0, self._searched[neighbours.clip(min=0)], -1)
        return Evidence(scores, found)

    def _search(self, queries: FloatArray) -> tuple[FloatArray, IntArray]:
        kept = min(NEIGHBOURS, len(self._rows))
        near = np.full((len(queries), NEIGHBOURS), -np.inf, np.float32)
        rows = np.full((len(queries), NEIGHBOURS), -1, np.int64)
        if len(queries):
            near[:, :kept], rows[:, :kept] = faiss.knn(
                np.ascontiguousarray(queries),
                self._rows,
                kept,
                metric=faiss.METRIC_INNER_PRODUCT,
            )
        return near, rows


def votes(near: FloatArray, voters: IntArray, counts: IntArray, temperature: float) -> FloatArray:
    """Turn neighbours into log shares of class-balanced votes.

    The formula is that of :func:`rac.branches.votes.class_balanced_votes`; this one counts a
    batch of a large job in a few array operations.

    Args:
        near: (Q, K) similarities, the largest first; -inf where there is no neighbour.
        voters: (Q, K) slots; ignored where there is no neighbour.
        counts: (S,) known rows of each slot.
        temperature: > 0.

    Returns:
        (Q, S) float32.
    """
    queries, slots = len(near), len(counts)
    weights = np.exp((near - near[:, :1]) / temperature) / np.maximum(counts, 1)[voters] ** _GAMMA
    places = voters + np.arange(queries)[:, None] * slots
    sums = np.bincount(places.ravel(), weights.ravel(), queries * slots).reshape(queries, slots)
    shares = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-30)
    return np.asarray(np.log((1 - _SMOOTHING) * shares + _SMOOTHING / slots), np.float32)


def scatter_of(features: FloatArray) -> Doubles:
    """Give the (P, P) sum of x x' over (M, P) rows; those of parts add up to that of the whole."""
    return _mirrored(blas.ssyrk(1.0, features.T, lower=True)).astype(np.float64)


def _mirrored(lower: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Complete a symmetric matrix of which the lower half is there."""
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def _metric(total: Doubles, sums: FloatArray, counts: IntArray, least: float) -> FloatArray:
    """Give the (P, R) map that whitens what varies within slots, strongest directions first.

    The directions v solve ``total v = l within v``; by way of the Cholesky factor of ``within``.

    Args:
        total: (P, P) scatter of the centred rows.
        sums: (S, P) of each slot's centred rows.
        counts: (S,) rows of each slot.
        least: the least mean variance to shrink towards, above what rounding leaves of none.
    """
    within = total - sums.T @ (sums / np.maximum(counts, 1)[:, None])
    # With one row a slot nothing varies within; the total then stands in.
    basis = within if counts.max() > 1 else total
    size = len(basis)
    scale = max(float(np.trace(basis)) / size, least) or 1.0
    shrunk = (1 - _SHRINKAGE) * basis + _SHRINKAGE * scale * np.eye(size)
    factor, _ = lapack.spotrf(shrunk.astype(np.float32), lower=True)
    whitened, _ = lapack.ssygst(total.astype(np.float32), factor, lower=True)
    _, directions = eigh(
        whitened,
        lower=True,
        subset_by_index=(max(0, size - METRIC_DIMENSIONS), size - 1),
        overwrite_a=True,
        check_finite=False,
    )
    mapped = blas.strsm(1.0, factor, directions[:, ::-1], lower=True, trans_a=True)
    return np.ascontiguousarray(mapped, np.float32)


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


def _sums(rows: FloatArray, slots: IntArray, slot_count: int) -> FloatArray:
    """Add up the (M, P) rows of each slot: (S, P)."""
    places = (np.ones(len(slots), np.float32), slots, np.arange(len(slots) + 1))
    # A sparse product; np.add.at takes ten times as long.
    member = csr_array(places, shape=(len(slots), slot_count))
    return np.asarray(member.T @ rows, np.float32)


def _head(centred: FloatArray, slots: IntArray, counts: IntArray) -> FloatArray:
    """Give the (P, S) weights of a ridge regression on the slots, rare slots weighing more."""
    roots = (1.0 / np.maximum(counts, 1) ** 0.25)[slots].astype(np.float32)
    weighted = centred * roots[:, None]
    gram = scatter_of(weighted)
    ridge = _HEAD_RIDGE * (float(np.trace(gram)) / len(gram) or 1.0)
    weighted *= roots[:, None]
    targets = _sums(weighted, slots, len(counts))
    gram[np.diag_indices_from(gram)] += ridge
    _, weights, _ = lapack.dposv(gram, targets.T.astype(np.float64), lower=True)
    return np.ascontiguousarray(weights, np.float32)
