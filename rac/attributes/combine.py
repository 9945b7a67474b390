"""One calibrated probability out of several kinds of evidence.

Letters of shapes: N cells, S slots (values, and "not applicable"), F kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.evidence import MORE_IS_LIKELIER
from rac.encoders.base import FloatArray

Doubles = npt.NDArray[np.float64]

Singles = npt.NDArray[np.float32]

_RIDGE = 1e-3
_STEPS = 60
_LITTLE = 1e-6
_SHORTEST = 1e-3


@dataclass(frozen=True)
class Fusion:
    """Weights of the kinds of evidence, the same for every value.

    Shared weights are few enough to be fitted on a few dozen cells and serve a value with one row
    as well as one with a thousand. Their size is the temperature: fitted by likelihood on cells
    that the evidence had not seen, the probabilities are calibrated.

    Attributes:
        weights: (F,) float64.
    """

    weights: Doubles

    def probabilities(self, scores: FloatArray) -> Doubles:
        """Give the (N, S) probabilities of (F, N, S) evidence; rows add to one.

        A slot that is impossible (``-inf`` in the first kind) has probability 0.
        """
        kinds = np.flatnonzero(self.weights)
        logits = np.zeros(scores.shape[1:], np.float64)
        for kind in kinds[kinds > 0].tolist():
            logits += self.weights[kind] * scores[kind]
        possible = np.isfinite(scores[0])
        if possible.all():
            logits += self.weights[0] * scores[0]
        else:
            logits += self.weights[0] * np.where(possible, scores[0], 0.0)
            logits[~possible] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits, out=logits)
        powers /= powers.sum(axis=1, keepdims=True)
        return powers


@dataclass(frozen=True)
class FusionFit:
    """Known cells, made ready for weights to be fitted on all or some of them.

    Attributes:
        spread: (F,) of each kind's evidence.
        used: (K,) the kinds that may have a weight.
        scaled: (K, S, N) their evidence, divided by its spread. Sums over slots, slot before cell,
            run along whole rows.
        barred: (S, N) 0, or ``-inf`` where a slot is impossible; None where none is.
        slots: (N,) the cells' slots.
    """

    spread: Doubles
    used: npt.NDArray[np.int64]
    scaled: Singles
    barred: Singles | None
    slots: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        scores: FloatArray,
        slots: npt.NDArray[np.int64],
        kinds: Sequence[int] = range(len(MORE_IS_LIKELIER)),
    ) -> FusionFit:
        """Make known cells ready.

        Args:
            scores: (F, N, S) evidence from memories that did not hold the cell, N >= 1; ``-inf``
                in the first kind where a slot is impossible.
            slots: (N,) the cells' slots.
            kinds: the kinds that may have a weight; the others get 0.
        """
        possible = np.isfinite(scores[0])
        finite = scores if possible.all() else np.where(possible, scores, np.float32(0))
        spread = finite.std(axis=(1, 2), dtype=np.float64)
        # Evidence that never varies cannot tell slots apart; its weight stays 0.
        used = np.flatnonzero((spread > 1e-6) & np.isin(np.arange(len(spread)), list(kinds)))
        scaled = np.empty((len(used), scores.shape[2], scores.shape[1]), np.float32)
        for place, kind in enumerate(used.tolist()):
            np.divide(finite[kind].T, np.float32(spread[kind]), out=scaled[place])
        barred = None
        if not possible.all():
            barred = np.where(possible.T, np.float32(0), np.float32(-np.inf))
        return cls(spread, used, scaled, barred, slots)

    def among(self, kept: npt.NDArray[np.bool_]) -> FusionFit:
        """Give the fit on some of the (N,) cells only."""
        return FusionFit(
            self.spread,
            self.used,
            np.compress(kept, self.scaled, axis=2),
            None if self.barred is None else self.barred[:, kept],
            self.slots[kept],
        )

    def fit(self, start: Fusion | None = None) -> Fusion:
        """Maximise the likelihood of the known slots, with a small ridge on the weights.

        The weights of most kinds may not be negative. The function is convex and has few
        variables: a handful of projected Newton steps find its one optimum (Bertsekas 1982,
        Projected Newton Methods for Optimization Problems with Simple Constraints). The last one
        is worth less than a millionth of the likelihood's logarithm, cell by cell.

        Args:
            start: weights to begin from, near the answer.
        """
        positive = np.array(MORE_IS_LIKELIER)[self.used]
        first = positive.astype(np.float64)
        if start is not None:
            first = start.weights[self.used] * self.spread[self.used]
        weights = np.zeros(len(self.spread))
        weights[self.used] = (
            _most_likely(self.scaled, self.barred, self.slots, first, positive)
            / self.spread[self.used]
        )
        return Fusion(weights)


def _most_likely(
    scaled: Singles,
    barred: Singles | None,
    slots: npt.NDArray[np.int64],
    first: Doubles,
    positive: npt.NDArray[np.bool_],
) -> Doubles:
    """Give the weights of K kinds at which the known slots are likeliest.

    Args:
        scaled: (K, S, N) evidence.
        barred: (S, N) 0, or ``-inf`` where a slot is impossible; None where none is.
        slots: (N,) known slots.
        first: (K,) where to begin.
        positive: (K,) whether a weight may not be negative.
    """
    kinds, _, cells = scaled.shape
    flat = scaled.reshape(kinds, -1)
    reached = scaled[:, slots, np.arange(cells)].mean(axis=1, dtype=np.float64)

    def look(weights: Doubles) -> tuple[float, Singles]:
        logits = (weights.astype(np.float32) @ flat).reshape(scaled.shape[1:])
        if barred is not None:
            logits += barred
        top = logits.max(axis=0)
        powers = np.exp(np.subtract(logits, top, out=logits), out=logits)
        sums = powers.sum(axis=0)
        powers /= sums
        likely = (np.log(sums) + top).mean(dtype=np.float64)
        loss = likely - reached @ weights + _RIDGE / 2 * weights @ weights
        return float(loss), powers

    weights = np.where(positive, first.clip(min=0.0), first)
    loss, shares = look(weights)
    for _ in range(_STEPS):
        drawn = scaled * shares
        means = drawn.sum(axis=1)
        slope = means.mean(axis=1, dtype=np.float64) - reached + _RIDGE * weights
        bound = positive & (weights <= 0.0) & (slope > 0.0)
        # Slot by slot: one product of two long, narrow matrices takes five times as long.
        spread = np.matmul(drawn.transpose(1, 0, 2), scaled.transpose(1, 2, 0)).sum(axis=0)
        bend = (spread - means @ means.T).astype(np.float64) / cells
        bend[np.diag_indices(kinds)] += _RIDGE
        bend[bound] = bend[:, bound] = 0.0
        bend[bound, bound] = 1.0
        step = np.where(bound, 0.0, np.linalg.solve(bend, np.where(bound, 0.0, slope)))
        if slope @ step < _LITTLE:
            break
        length = 1.0
        while length > _SHORTEST:
            moved = weights - length * step
            moved = np.where(positive, moved.clip(min=0.0), moved)
            lower, there = look(moved)
            if lower < loss:
                break
            length /= 2
        else:
            break
        weights, loss, shares = moved, lower, there
    return weights
