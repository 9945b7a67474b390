"""One calibrated probability out of several sources of evidence.

Letters of shapes: N cells, S answers (values, and "not applicable"), F sources of evidence, U of
them that may have a weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rac.encoders.base import FloatArray

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_RIDGE = 1e-3
_STEPS = 60
_LITTLE = 1e-6
_SHORTEST = 1e-3


@dataclass(frozen=True)
class EvidenceFusion:
    """Weights of the sources of evidence, the same for every value.

    Shared weights are few enough to be fitted on a few dozen cells and serve a value with one row
    as well as one with a thousand. Their size is the temperature: fitted by likelihood on cells
    that the evidence had not seen, the probabilities are calibrated.

    Attributes:
        weights: (F,) float64.
    """

    weights: Doubles

    def probabilities(self, scores: FloatArray, possible: BoolArray | None = None) -> Doubles:
        """Give the (N, S) probabilities of (F, N, S) evidence; rows add to one.

        Args:
            scores: finite evidence.
            possible: (N, S) whether an answer is possible; others have probability 0. None where
                all are.
        """
        logits = np.zeros(scores.shape[1:], np.float64)
        # The first source is added last: another order would change the last bits of answers.
        for place in np.roll(np.arange(len(scores)), -1).tolist():
            if self.weights[place]:
                logits += self.weights[place] * scores[place]
        if possible is not None:
            logits[~possible] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits, out=logits)
        powers /= powers.sum(axis=1, keepdims=True)
        return powers


@dataclass(frozen=True)
class FusionFit:
    """Known cells, made ready for weights to be fitted on all or some of them.

    Attributes:
        spread: (F,) of each source's evidence.
        monotone: (F,) whether a source's weight may not be negative.
        used: (U,) the sources that may have a weight.
        scaled: (U, S, N) their evidence, divided by its spread. Sums over answers, answer before
            cell, run along whole rows.
        barred: (S, N) 0, or ``-inf`` where an answer is impossible; None where none is.
        answers: (N,) the cells' answers.
    """

    spread: Doubles
    monotone: BoolArray
    used: IntArray
    scaled: Singles
    barred: Singles | None
    answers: IntArray

    @classmethod
    def of(
        cls,
        scores: FloatArray,
        answers: IntArray,
        monotone: BoolArray,
        possible: BoolArray | None = None,
    ) -> FusionFit:
        """Make known cells ready.

        Args:
            scores: (F, N, S) evidence from sources that had not seen the cell, N >= 1.
            answers: (N,) the cells' answers.
            monotone: (F,) whether more of a source makes an answer likelier.
            possible: (N, S) whether an answer is possible; None where all are.
        """
        if possible is not None and possible.all():
            possible = None
        finite = scores if possible is None else np.where(possible, scores, np.float32(0))
        spread = finite.std(axis=(1, 2), dtype=np.float64)
        # Evidence that never varies cannot tell answers apart; its weight stays 0.
        used = np.flatnonzero(spread > 1e-6)
        scaled = np.empty((len(used), scores.shape[2], scores.shape[1]), np.float32)
        for place, source in enumerate(used.tolist()):
            np.divide(finite[source].T, np.float32(spread[source]), out=scaled[place])
        barred = None
        if possible is not None:
            barred = np.where(possible.T, np.float32(0), np.float32(-np.inf))
        return cls(spread, monotone, used, scaled, barred, answers)

    def among(self, kept: BoolArray) -> FusionFit:
        """Give the fit on some of the (N,) cells only."""
        return replace(
            self,
            scaled=np.compress(kept, self.scaled, axis=2),
            barred=None if self.barred is None else self.barred[:, kept],
            answers=self.answers[kept],
        )

    def fit(self, start: EvidenceFusion | None = None) -> EvidenceFusion:
        """Maximise the likelihood of the known answers, with a small ridge on the weights.

        The weights of most sources may not be negative. The function is convex and has few
        variables: a handful of projected Newton steps find its one optimum (Bertsekas 1982,
        Projected Newton Methods for Optimization Problems with Simple Constraints). The last one
        is worth less than a millionth of the likelihood's logarithm, cell by cell.

        Args:
            start: weights to begin from, near the answer.
        """
        positive = self.monotone[self.used]
        first = positive.astype(np.float64)
        if start is not None:
            first = start.weights[self.used] * self.spread[self.used]
        weights = np.zeros(len(self.spread))
        weights[self.used] = (
            _most_likely(self.scaled, self.barred, self.answers, first, positive)
            / self.spread[self.used]
        )
        return EvidenceFusion(weights)


def _most_likely(
    scaled: Singles,
    barred: Singles | None,
    answers: IntArray,
    first: Doubles,
    positive: BoolArray,
) -> Doubles:
    """Give the weights of U sources at which the known answers are likeliest.

    Args:
        scaled: (U, S, N) evidence.
        barred: (S, N) 0, or ``-inf`` where an answer is impossible; None where none is.
        answers: (N,) known answers.
        first: (U,) where to begin.
        positive: (U,) whether a weight may not be negative.
    """
    sources, _, cells = scaled.shape
    flat = scaled.reshape(sources, -1)
    reached = scaled[:, answers, np.arange(cells)].mean(axis=1, dtype=np.float64)

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
        # Answer by answer: one product of two long, narrow matrices takes five times as long.
        spread = np.matmul(drawn.transpose(1, 0, 2), scaled.transpose(1, 2, 0)).sum(axis=0)
        bend = (spread - means @ means.T).astype(np.float64) / cells
        bend[np.diag_indices(sources)] += _RIDGE
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
