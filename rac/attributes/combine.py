"""One calibrated probability out of several kinds of evidence.

Letters of shapes: N cells, C values, F kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]

from rac.attributes.evidence import MORE_IS_LIKELIER
from rac.encoders.base import FloatArray

Doubles = npt.NDArray[np.float64]

_RIDGE = 1e-3


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
    def fit(cls, scores: FloatArray, codes: npt.NDArray[np.int64]) -> Fusion:
        """Maximise the likelihood of the known values, with a small ridge on the weights.

        Args:
            scores: (N, C, F) evidence from memories that did not hold the cell, N >= 1.
            codes: (N,) the cells' values.
        """
        spread = scores.std(axis=(0, 1), dtype=np.float64)
        # Evidence that never varies cannot tell values apart; its weight stays 0.
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-6)
        scaled = scores.astype(np.float64) * scale
        rows = np.arange(len(codes))
        reached = scaled[rows, codes].mean(axis=0)

        def loss(weights: Doubles) -> tuple[float, Doubles]:
            logits = scaled @ weights
            shares, normaliser = _softmax(logits)
            expected = np.einsum("nc,ncf->f", shares, scaled, optimize=True) / len(codes)
            value = normaliser.mean() - reached @ weights + _RIDGE / 2 * weights @ weights
            return float(value), expected - reached + _RIDGE * weights

        bounds = [(0.0, None) if positive else (None, None) for positive in MORE_IS_LIKELIER]
        start = np.array([1.0 if positive else 0.0 for positive in MORE_IS_LIKELIER])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(found.x * scale)

    def probabilities(self, scores: FloatArray) -> Doubles:
        """Give the (N, C) probabilities of (N, C, F) evidence; rows add to one."""
        return _softmax(np.asarray(scores @ self.weights, np.float64))[0]


def _softmax(logits: Doubles) -> tuple[Doubles, Doubles]:
    """Give (N, C) shares and the (N,) logarithms of the normalisers."""
    top = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - top)
    sums = powers.sum(axis=1, keepdims=True)
    return powers / sums, (np.log(sums) + top)[:, 0]
