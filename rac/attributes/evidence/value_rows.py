"""Evidence of how many rows each answer has."""

from __future__ import annotations

import numpy as np

from rac.attributes.evidence.source import MemorySource
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class ValueRowsEvidence(MemorySource):
    """The logarithm of each answer's rows: a prior, and a correction of sources that favour many.

    It may speak against an answer that has many rows, since the nearest of many is near by chance.
    """

    name = "rows of the value"
    monotone = False

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) logarithms, the same for each query."""
        counts = np.log1p(queries.near.memory.counts).astype(np.float32)
        return np.broadcast_to(counts, (len(queries.near.mapped), len(counts)))
