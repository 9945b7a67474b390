"""The text branch as plain loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_text(
    scores: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    told: npt.NDArray[np.float32],
    prototypes: npt.NDArray[np.float32],
    temperature: float,
    gamma: float,
    scale: float,
    smoothing: float,
) -> npt.NDArray[np.float64]:
    """``(N, K)`` neighbours and ``(M, E)`` snippets to ``(N, C)``, one neighbour at a time."""
    amount = len(prototypes)
    answer = np.empty((len(scores), amount))
    for query in range(len(scores)):
        sums, total = [0.0] * amount, 0.0
        for score, row, label in zip(scores[query], rows[query], classes[query], strict=True):
            if label < 0:
                continue
            weight = math.exp(float(score) / temperature) / max(int(counts[label]), 1) ** gamma
            total += weight
            for place, share in enumerate(_read(told[row], prototypes, scale)):
                sums[place] += weight * share
        for place in range(amount):
            share = sums[place] / total if total > 0 else 1 / amount
            answer[query, place] = math.log((1 - smoothing) * share + smoothing / amount)
    return answer


def _read(
    snippet: npt.NDArray[np.float32], prototypes: npt.NDArray[np.float32], scale: float
) -> list[float]:
    """The shares of the classes by one snippet, as it differs from the mean prototype."""
    common = [float(column.sum()) / len(prototypes) for column in prototypes.T]
    own = [float(value) - mean for value, mean in zip(snippet, common, strict=True)]
    logits = []
    for prototype in prototypes:
        other = [float(value) - mean for value, mean in zip(prototype, common, strict=True)]
        product = sum(x * y for x, y in zip(own, other, strict=True))
        logits.append(scale * product / (math.hypot(*own) * math.hypot(*other)))
    total = sum(math.exp(logit) for logit in logits)
    return [math.exp(logit) / total for logit in logits]
