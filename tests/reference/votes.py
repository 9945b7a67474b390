"""Class-balanced votes as plain loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_votes(
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    temperature: float,
    gamma: float,
    smoothing: float,
) -> npt.NDArray[np.float64]:
    """``(Q, K)`` scores and classes to ``(Q, C)`` log shares, one query and neighbour at a time."""
    answer = np.empty((len(scores), len(counts)))
    for query in range(len(scores)):
        heard = [
            (float(score), int(label))
            for score, label in zip(scores[query], classes[query], strict=True)
            if label >= 0
        ]
        votes = [0.0] * len(counts)
        for score, label in heard:
            weight = math.exp((score - max(s for s, _ in heard)) / temperature)
            votes[label] += weight / max(int(counts[label]), 1) ** gamma
        total = sum(votes)
        for label in range(len(counts)):
            share = votes[label] / total if total > 0 else 1 / len(counts)
            answer[query, label] = math.log((1 - smoothing) * share + smoothing / len(counts))
    return answer
