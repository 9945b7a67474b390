"""Evidence of each answer's mean."""

from __future__ import annotations

from rac.attributes.evidence.source import MemorySource
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class ValueMeanEvidence(MemorySource):
    """The cosine to the mean of each answer's rows, in the attribute's own metric."""

    name = "value mean"
    monotone = True
    retrieval = True
    needs_image = True

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) cosines."""
        memory = queries.near.memory
        return memory.spread(queries.near.unit @ memory.unit_means.T)
