"""Evidence of the row's other cells: values that go together."""

from __future__ import annotations

from typing import Self

from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.task.attribute_task import AttributeTask, Fold
from rac.attributes.task.cooccurrence import CooccurrenceScores
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class RowCellsEvidence(EvidenceSource):
    """What the values of the other cells say of each answer, added up; 0 where they say nothing."""

    name = "cells of the row"
    monotone = True
    reads_cells = True

    def __init__(self, speaks: CooccurrenceScores) -> None:
        self._speaks = speaks

    @classmethod
    def fit(cls, task: AttributeTask) -> Self:
        """Take what goes together in the table."""
        return cls(task.cooccurrence.scores())

    def without(self, fold: Fold) -> Self:
        """Take the fold's rows out of the counts."""
        return type(self)(fold.cooccurrence.scores())

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) sums of pointwise mutual information."""
        return self._speaks.of_members(queries.rows.others)
