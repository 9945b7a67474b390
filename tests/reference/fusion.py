"""The fusion as plain loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def slow_fusion(
    base: npt.NDArray[np.float32],
    retrieval: npt.NDArray[np.float32],
    counts: list[int],
    weights: tuple[float, float, float, float, float],
    temperature: float,
) -> npt.NDArray[np.float64]:
    """``(N, C)`` log-probabilities of both branches to ``(N, C)``, one class at a time."""
    logs = [math.log(max(count, 1)) for count in counts]
    centre = sum(logs) / len(logs)
    spread = math.sqrt(sum((log - centre) ** 2 for log in logs) / len(logs)) or 1.0
    answer = np.empty(base.shape)
    for row in range(len(base)):
        scores = []
        for label in range(len(counts)):
            u = (logs[label] - centre) / spread
            score = (weights[0] + weights[1] * u) * float(base[row, label])
            score += (weights[2] + weights[3] * u) * float(retrieval[row, label])
            scores.append((score + weights[4] * u) / temperature)
        total = math.log(sum(math.exp(score) for score in scores))
        answer[row] = [score - total for score in scores]
    return answer
