"""Evidence of each answer's nearest row."""

from __future__ import annotations

from rac.attributes.evidence.source import MemorySource
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class NearestRowEvidence(MemorySource):
    """The cosine to each answer's nearest row.

    An answer of a thousand rows has no more votes than an answer of one.
    """

    name = "nearest row"
    monotone = True
    retrieval = True
    needs_image = True

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) cosines."""
        return queries.near.nearest
