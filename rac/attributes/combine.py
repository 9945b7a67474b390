"""One calibrated probability out of several kinds of evidence.

Letters of shapes: N cells, S slots (values, and "not applicable"), F kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]

from rac.attributes.evidence import MORE_IS_LIKELIER
from rac.encoders.base import FloatArray

Doubles = npt.NDArray[np.float64]

_RIDGE = 1e-3
_STEPS = 60


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

    @classmethod
    def fit(
        cls,
        scores: FloatArray,
        slots: npt.NDArray[np.int64],
        *,
        start: Fusion | None = None,
        kinds: Sequence[int] = range(len(MORE_IS_LIKELIER)),
    ) -> Fusion:
        """Maximise the likelihood of the known slots, with a small ridge on the weights.

        Args:
            scores: (N, S, F) evidence from memories that did not hold the cell, N >= 1; ``-inf``
                in the first kind where a slot is impossible.
            slots: (N,) the cells' slots.
            start: weights to begin from, near the answer.
            kinds: the kinds that may have a weight; the others get 0.
        """
        possible = np.isfinite(scores[..., 0])
        finite = np.where(possible[..., None], scores, 0.0).astype(np.float64)
        spread = finite.std(axis=(0, 1))
        # Evidence that never varies cannot tell slots apart; its weight stays 0.
        usable = (spread > 1e-6) & np.isin(np.arange(len(spread)), list(kinds))
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=usable)
        scaled = finite * scale
        barred = np.where(possible, 0.0, -np.inf)
        rows = np.arange(len(slots))
        reached = scaled[rows, slots].mean(axis=0)

        def loss(weights: Doubles) -> tuple[float, Doubles]:
            shares, normaliser = _softmax(scaled @ weights + barred)
            expected = np.tensordot(shares, scaled, axes=([0, 1], [0, 1])) / len(slots)
            value = normaliser.mean() - reached @ weights + _RIDGE / 2 * weights @ weights
            return float(value), expected - reached + _RIDGE * weights

        bounds = [(0.0, None) if positive else (None, None) for positive in MORE_IS_LIKELIER]
        first = np.array([1.0 if positive else 0.0 for positive in MORE_IS_LIKELIER])
        if start is not None:
            first = start.weights * np.where(usable, spread, 0.0)
        found = minimize(
            loss,
            first,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _STEPS if start is None else _STEPS // 4},
        )
        return cls(found.x * scale)

    def probabilities(self, scores: FloatArray) -> Doubles:
        """Give the (N, S) probabilities of (N, S, F) evidence; rows add to one.

        A slot that is impossible (``-inf`` in the first kind) has probability 0.
        """
        weights = self.weights.astype(np.float32)
        logits = scores[..., 1:] @ weights[1:]
        possible = np.isfinite(scores[..., 0])
        first = np.where(possible, scores[..., 0], 0.0) * weights[0]
        logits = np.where(possible, logits + first, -np.inf)
        return _softmax(np.asarray(logits, np.float64))[0]


def _softmax(logits: Doubles) -> tuple[Doubles, Doubles]:
    """Give (N, S) shares and the (N,) logarithms of the normalisers."""
    top = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - top)
    sums = powers.sum(axis=1, keepdims=True)
    return powers / sums, (np.log(sums) + top)[:, 0]
