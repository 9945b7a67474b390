"""The base branch: one direction for each class, and the cosine of a query with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval_index import within_class
from retrieval_index.arrays import unit_norm

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CosineHead:
    """A cosine classifier: the logit of class c is ``scale * cos(query, directions[c])``.

    Attributes:
        directions: ``(C, D)`` float32, unit norm.
        scale: > 0, the logit of a query that lies on a class's direction.
    """

    directions: Floats
    scale: float

    def log_probabilities(self, queries: Floats) -> Floats:
        """Give the ``(N, C)`` log-probabilities of ``(N, D)`` unit-norm queries."""
        return log_softmax(self.scale * (queries @ self.directions.T))


def class_means(vectors: Floats, classes: Integers, count: int) -> Floats:
    """Give the ``(C, D)`` normalised mean of each class's vectors.

    Args:
        vectors: ``(N, D)``, unit norm.
        classes: ``(N,)`` in ``[0, count)``.
        count: the number of classes, C; a class without a vector gets zeros.

    >>> import numpy as np
    >>> class_means(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]), 2).round(3)
    array([[0.707, 0.707],
           [0.   , 0.   ]], dtype=float32)
    """
    return unit_norm(within_class.class_means(vectors, classes, count))


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Give ``(N, C)`` logits as float32 log-probabilities, safe for large logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - normaliser, dtype=np.float32)
