"""One number that makes the probabilities of any scores as sure as they are right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, Ints

_LOG_RANGE = 9.0  # of the temperature, either side of the scores' own spread
_LEAST = 1e-12  # probability that a class with a score of -inf counts as


def softened(scores: npt.NDArray[np.floating], temperature: float) -> Floats:
    """Give the softmax (N, C) of scores over a temperature above 0.

    >>> softened(np.array([[0.0, 2 * np.log(3.0)]]), 2.0).round(3).tolist()
    [[0.25, 0.75]]
    """
    scaled = scores.astype(np.float64) / temperature
    raised: Floats = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def log_loss(scores: npt.NDArray[np.floating], classes: Ints, temperature: float) -> float:
    """Give the mean negative log-probability, in nats, of the classes (N,) of N >= 1 rows."""
    likely = softened(scores, temperature)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(likely, _LEAST)).mean())


def best_temperature(scores: npt.NDArray[np.floating], classes: Ints) -> float:
    """Give the temperature of the least log-loss on held-out rows.

    Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.

    Args:
        scores: (N, C), held out.
        classes: (N,) their classes.

    Returns:
        A number above 0; 1 where there are no rows or the scores do not differ.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    finite = scores[np.isfinite(scores)]
    spread = float(finite.std()) if finite.size else 0.0
    if spread == 0 or not len(classes):
        return 1.0

    def loss(log_ratio: float) -> float:
        return log_loss(scores, classes, spread * float(np.exp(log_ratio)))

    # A coarse look first: the loss is flat far from its least value.
    steps = np.linspace(-_LOG_RANGE, _LOG_RANGE, 19)
    nearest = steps[int(np.argmin([loss(step) for step in steps]))]
    found = minimize_scalar(loss, bounds=(nearest - 1, nearest + 1), method="bounded")
    return spread * float(np.exp(found.x))
