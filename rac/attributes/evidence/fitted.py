"""The evidence of one attribute: its sources, fitted, and the memory that they look rows up in.

Letters of shapes: Q rows asked about, S answers, F sources, K neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.task.attribute_task import AttributeTask, Fold
from rac.attributes.task.cooccurrence import Columns
from rac.attributes.task.memory import NEIGHBOURS, AttributeMemory
from rac.attributes.task.queries import AskedRows, Queries
from rac.encoders.base import FloatArray


@dataclass(frozen=True)
class Evidence:
    """What speaks for each answer of Q cells.

    Attributes:
        scores: (F, Q, S) float32, any range; comparable within one source.
        neighbours: (Q, K) int64, numbers of the memory's nearest rows, -1 where there are fewer.
    """

    scores: FloatArray
    neighbours: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FittedSources:
    """The sources of one attribute, without the memory that they look rows up in.

    Attributes:
        columns: whose cells the sources read.
        each: F of them, in the registry's order.
    """

    columns: Columns
    each: tuple[EvidenceSource, ...]

    @classmethod
    def fit(cls, task: AttributeTask, sources: Sequence[type[EvidenceSource]]) -> FittedSources:
        """Fit sources to an attribute's training rows."""
        columns = Columns.none()
        if any(source.reads_cells for source in sources):
            columns = task.cooccurrence.columns
        return cls(columns, tuple(source.fit(task) for source in sources))

    def without(self, fold: Fold) -> FittedSources:
        """Give the same as fitted without one fold."""
        return FittedSources(self.columns, tuple(source.without(fold) for source in self.each))

    @property
    def names(self) -> list[str]:
        """The F names."""
        return [source.name for source in self.each]

    @property
    def monotone(self) -> npt.NDArray[np.bool_]:
        """(F,) whether more of a source makes an answer likelier."""
        return np.array([source.monotone for source in self.each], np.bool_)


@dataclass(frozen=True)
class FittedEvidence:
    """Sources and memory, fitted to the same rows of one attribute.

    Attributes:
        memory: of the attribute.
        sources: F of them.
    """

    memory: AttributeMemory
    sources: FittedSources

    def of(self, rows: AskedRows, *, neighbours: int = NEIGHBOURS) -> Evidence:
        """Collect what speaks for the answers of Q rows, none of which it was fitted to.

        Args:
            rows: Q of them; their ``others`` are of the sources' columns.
            neighbours: K.
        """
        near = self.memory.look_up(rows.features, neighbours)
        queries = Queries(rows, near)
        scores = np.empty((len(self.sources.each), *near.nearest.shape), np.float32)
        for place, source in enumerate(self.sources.each):
            scores[place] = source.scores(queries)
        return Evidence(scores, near.rows)
