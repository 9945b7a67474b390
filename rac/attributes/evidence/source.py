"""What a source of evidence is: one thing that speaks for the answers of a cell.

Letters of shapes: Q queries, S answers (the values, and "not applicable" behind them where that can
be the answer).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from rac.attributes.task.attribute_task import AttributeTask, Fold
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class EvidenceSource(ABC):
    """One source, fitted to one attribute; it is only read once it is fitted.

    A new source is a file with a subclass, and its line in :mod:`rac.attributes.evidence.registry`.
    How much it is worth beside the others is fitted, attribute by attribute, on cells that it had
    not seen; so its scores need no unit, and a source that says nothing does no harm.

    Attributes:
        name: what runs and summaries call it; never changed, as they are kept.
        monotone: whether more of it makes an answer likelier; its weight is then never negative.
        retrieval: whether it speaks through the nearest training rows.
        needs_image: whether it speaks of the row's image.
        reads_cells: whether it speaks of the row's other cells.
        unseen_values: whether it may speak for values that no training row has.
    """

    name: ClassVar[str]
    monotone: ClassVar[bool]
    retrieval: ClassVar[bool] = False
    needs_image: ClassVar[bool] = False
    reads_cells: ClassVar[bool] = False
    unseen_values: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, task: AttributeTask) -> Self:
        """Fit the source to an attribute's training rows."""

    @abstractmethod
    def without(self, fold: Fold) -> Self:
        """Give the source as fitted without one fold: nothing of the fold's rows may be left in it.

        Their own answers are predicted by what this returns, and the promise rests on that.
        """

    @abstractmethod
    def scores(self, queries: Queries) -> FloatArray:
        """Say how much speaks for each answer.

        Returns:
            (Q, S) float32, finite, in any range; comparable among the answers of one query. What a
            row's other cells rule out is ruled out elsewhere, whatever its score.
        """


class MemorySource(EvidenceSource):
    """A source whose whole knowledge is the attribute's memory, which queries are looked up in."""

    @classmethod
    def fit(cls, task: AttributeTask) -> Self:
        """Nothing is left to be fitted."""
        return cls()

    def without(self, fold: Fold) -> Self:
        """Queries about a fold are looked up in a memory without it."""
        return self
