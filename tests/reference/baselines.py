"""The baselines' formulas as plain loops over rows, classes and dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def slow_cosine(one: Array, other: Array) -> float:
    """The cosine of two vectors."""
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(float(a) ** 2 for a in one) * sum(float(b) ** 2 for b in other))


def slow_votes(
    query: Array, keys: Array, classes: Sequence[int], count: int, k: int, temperature: float
) -> list[float]:
    """Log shares of the votes of the k nearest rows; one vote in k + 1 is everybody's."""
    cosines = sorted(
        ((slow_cosine(query, key), number) for key, number in zip(keys, classes, strict=True)),
        reverse=True,
    )[:k]
    votes = [0.0] * count
    for cosine, number in cosines:
        votes[number] += math.exp(cosine / temperature)
    total = sum(votes)
    return [math.log((k * vote / total + 1 / count) / (k + 1)) for vote in votes]


def slow_tip_adapter(
    query: Array,
    keys: Array,
    classes: Sequence[int],
    prompts: Array,
    scale: float,
    alpha: float,
    beta: float,
) -> list[float]:
    """Scaled cosines of the prompts, plus alpha exp(-beta (1 - cosine)) for each training row."""
    logits = [scale * slow_cosine(query, prompt) for prompt in prompts]
    for key, number in zip(keys, classes, strict=True):
        logits[number] += alpha * math.exp(-beta * (1 - slow_cosine(query, key)))
    return logits


def slow_discriminant(query: Array, rows: Array, classes: Sequence[int], count: int) -> list[float]:
    """Log densities of Gaussians with one shrunk covariance, less what all classes share."""
    dim = rows.shape[1]
    means = [
        np.mean([row for row, c in zip(rows, classes, strict=True) if c == number], axis=0)
        for number in range(count)
    ]
    covariance = np.zeros((dim, dim))
    for row, number in zip(rows, classes, strict=True):
        residual = row - means[number]
        covariance += np.outer(residual, residual) / (len(rows) - 1)
    trace = sum(covariance[place, place] for place in range(dim))
    precision = dim * np.linalg.inv((len(rows) - 1) * covariance + trace * np.eye(dim))
    return [
        float(-0.5 * (query - mean) @ precision @ (query - mean) + 0.5 * query @ precision @ query)
        for mean in means
    ]


def slow_adjusted_loss(
    rows: Array, classes: Sequence[int], weights: Array, adjustment: Sequence[float], scale: float
) -> float:
    """Mean cross-entropy of scaled cosines to which a number of each class is added."""
    total = 0.0
    for row, number in zip(rows, classes, strict=True):
        logits = [
            scale * slow_cosine(row, weight) + added
            for weight, added in zip(weights, adjustment, strict=True)
        ]
        total += math.log(sum(math.exp(logit) for logit in logits)) - logits[number]
    return total / len(rows)


def slow_calibration_error(confidence: Sequence[float], hits: Sequence[bool], bins: int) -> float:
    """Mean over the rows of |accuracy - confidence| of their bin."""
    error = 0.0
    for place in range(bins):
        low, high = place / bins, (place + 1) / bins
        inside = [
            (sure, hit)
            for sure, hit in zip(confidence, hits, strict=True)
            if low < sure <= high or (place == 0 and sure == 0)
        ]
        error += abs(sum(hit - sure for sure, hit in inside))
    return error / len(confidence)
