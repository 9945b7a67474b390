"""Evidence of the base branch beside the memory: a linear discriminant."""

from __future__ import annotations

from rac.attributes.evidence.source import MemorySource
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class HeadEvidence(MemorySource):
    """The linear discriminant of answers that vary alike, without a prior on their frequency."""

    name = "head"
    monotone = True
    needs_image = True

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) log likelihoods, up to what all answers of a query share."""
        memory = queries.near.memory
        means = memory.means
        return memory.spread(queries.near.mapped @ means.T - 0.5 * (means**2).sum(axis=1))
