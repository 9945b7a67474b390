"""Nearest neighbours as plain loops over Python numbers: nothing is vectorised, nothing is fast."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def nearest_slowly(
    vectors: Sequence[Sequence[float]],
    queries: Sequence[Sequence[float]],
    ids: Sequence[str],
    k: int,
    banned: Sequence[set[str]] | None = None,
) -> list[list[tuple[str, float]]]:
    """For each query the k best (id, score) by (-score, id), score rounded to float32."""
    answers = []
    for number, query in enumerate(queries):
        scored = []
        for row, vector in enumerate(vectors):
            if banned is not None and ids[row] in banned[number]:
                continue
            product = math.fsum(float(a) * float(b) for a, b in zip(vector, query, strict=True))
            scored.append((-float(np.float32(product)), ids[row]))
        scored.sort()
        answers.append([(name, -negative) for negative, name in scored[:k]])
    return answers


def cosine_slowly(a: Sequence[float], b: Sequence[float]) -> float:
    """The cosine of two vectors; 0 where one of them is zero."""
    product = math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    length = math.sqrt(math.fsum(float(x) ** 2 for x in a)) * math.sqrt(
        math.fsum(float(y) ** 2 for y in b)
    )
    return product / length if length else 0.0


def within_class_covariance_slowly(
    vectors: Sequence[Sequence[float]], labels: Sequence[str | None]
) -> np.ndarray:
    """Mean outer product of the differences from class means, over classes of two rows or more."""
    members: dict[str, list[Sequence[float]]] = {}
    for vector, label in zip(vectors, labels, strict=True):
        if label is not None:
            members.setdefault(label, []).append(vector)
    dim = len(vectors[0])
    total, rows = np.zeros((dim, dim)), 0
    for group in members.values():
        if len(group) < 2:
            continue
        mean = [math.fsum(float(v[d]) for v in group) / len(group) for d in range(dim)]
        for vector in group:
            for i in range(dim):
                for j in range(dim):
                    total[i, j] += (float(vector[i]) - mean[i]) * (float(vector[j]) - mean[j])
            rows += 1
    return total / rows


def near_pairs_slowly(
    vectors: Sequence[Sequence[float]], threshold: float
) -> list[tuple[int, int, float]]:
    """The pairs of rows whose cosine, rounded to float32, is at least a threshold."""
    pairs = []
    for first in range(len(vectors)):
        for second in range(first + 1, len(vectors)):
            cosine = cosine_slowly(vectors[first], vectors[second])
            if np.float32(cosine) >= np.float32(threshold):
                pairs.append((first, second, cosine))
    return pairs
