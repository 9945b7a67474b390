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
) -> npt.NDArray[np.float64]:
    """``(N, K)`` neighbours and ``(M, E)`` snippets to ``(N, C)``, one neighbour at a time."""
    answer = np.empty((len(scores), len(prototypes)))
    for query in range(len(scores)):
        pooled = [0.0] * told.shape[1]
        total = 0.0
        for score, row, label in zip(scores[query], rows[query], classes[query], strict=True):
            if label < 0:
                continue
            weight = math.exp(float(score) / temperature) / max(int(counts[label]), 1) ** gamma
            total += weight
            for place in range(len(pooled)):
                pooled[place] += weight * float(told[row, place])
        logits = []
        for prototype in prototypes:
            cosine = sum(p * float(q) for p, q in zip(pooled, prototype, strict=True))
            logits.append(scale * cosine / total if total > 0 else 0.0)
        normaliser = math.log(sum(math.exp(logit) for logit in logits))
        answer[query] = [logit - normaliser for logit in logits]
    return answer
