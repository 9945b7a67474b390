"""Training of a cosine classifier with a logit-adjusted loss, by L-BFGS on all rows.

Letters of shapes: N rows, D dimensions, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, Ints, Scores
from retrieval_index.arrays import unit_norm


@dataclass(frozen=True)
class Descent:
    """How the directions are trained.

    Attributes:
        scale: what cosines are multiplied by.
        tau: strength of the logit adjustment; 0 is plain cross-entropy.
        iterations: of L-BFGS at most; few of them stay near the first directions.
    """

    scale: float
    tau: float
    iterations: int


def train_cosine_head(rows: Scores, classes: Ints, initial: Scores, descent: Descent) -> Scores:
    """Train the directions of the classes.

    The loss is that of Menon et al., Long-tail learning via logit adjustment, ICLR 2021, equation
    10: tau times the log prior, as the rows have it, is added to the logits while training and not
    when predicting. Classes without a row take no part, and keep their first direction.

    Args:
        rows: (N, D) float32, unit norm.
        classes: (N,) in [0, C).
        initial: (C, D) directions to start from.
        descent: how.

    Returns:
        (C, D) float32, unit norm.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    present, targets, counts = np.unique(classes, return_inverse=True, return_counts=True)
    adjustment = (descent.tau * np.log(counts / counts.sum())).astype(np.float32)
    trained = unit_norm(initial)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(len(present), -1)
        loss, gradient = adjusted_loss(rows, targets, weights, adjustment, descent.scale)
        return loss, gradient.ravel()

    found = minimize(
        objective,
        trained[present].astype(np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": descent.iterations},
    )
    trained[present] = unit_norm(found.x.reshape(len(present), -1))
    return trained


def adjusted_loss(
    rows: Scores,
    classes: Ints,
    weights: npt.NDArray[np.floating],
    adjustment: Scores,
    scale: float,
) -> tuple[float, Floats]:
    """Give the mean cross-entropy, in nats, of adjusted scaled cosines, and its gradient.

    Args:
        rows: (N, D) float32, unit norm.
        classes: (N,) in [0, C).
        weights: (C, D), any norm above zero.
        adjustment: (C,) added to the logits.
        scale: what cosines are multiplied by.

    Returns:
        The loss, and its (C, D) derivatives by the weights.
    """
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    units = (weights / norms).astype(np.float32)
    logits = scale * (rows @ units.T) + adjustment
    logits -= logits.max(axis=1, keepdims=True)
    likely = np.exp(logits)
    total = likely.sum(axis=1, keepdims=True)
    every = np.arange(len(rows))
    loss = float((np.log(total[:, 0]) - logits[every, classes]).mean(dtype=np.float64))
    likely /= total
    likely[every, classes] -= 1
    slope = (scale / len(rows)) * (likely.T @ rows)
    # Only the part that turns a direction moves its cosines.
    turning: Floats = (slope - (slope * units).sum(axis=1, keepdims=True) * units) / norms
    return loss, turning
