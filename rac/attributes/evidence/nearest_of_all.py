"""Evidence of an answer's nearest row beside those of all other answers.

Letters of shapes: Q queries, S answers.
"""

from __future__ import annotations

import numpy as np

from rac.attributes.evidence.source import MemorySource
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray

_TEMPERATURE = 0.03
_SMOOTHING = 1e-3


class NearestOfAllEvidence(MemorySource):
    """How far an answer's nearest row is ahead of the others': a clear winner counts for more."""

    name = "nearest of all"
    monotone = True
    retrieval = True
    needs_image = True

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) logarithms of shares."""
        return log_shares(queries.near.nearest)


def log_shares(nearest: FloatArray) -> FloatArray:
    """Turn how near each answer is into the log of its share in all, smoothed.

    Args:
        nearest: (Q, S) cosines.
    """
    weights = np.exp((nearest - nearest.max(axis=1, keepdims=True)) / _TEMPERATURE)
    weights /= weights.sum(axis=1, keepdims=True)
    answers = max(1, nearest.shape[1])
    return np.asarray(np.log((1 - _SMOOTHING) * weights + _SMOOTHING / answers), np.float32)
