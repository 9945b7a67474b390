"""What an attribute's answers rest on: fused evidence, or prompts alone.

Letters of shapes: Q rows asked about, S answers, M rows of the memory, K neighbours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rac.attributes.evidence.fitted import FittedEvidence
from rac.attributes.model.evidence_fusion import EvidenceFusion
from rac.attributes.task.cooccurrence import Columns
from rac.attributes.task.memory import NEIGHBOURS
from rac.attributes.task.queries import AskedRows
from rac.attributes.zero_shot import zero_shot_probabilities

Source = Literal["fused", "zero-shot"]
IntArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_EVIDENCE_NUMBERS = 8_000_000


class Grounds(ABC):
    """What gives the probabilities of an attribute's answers.

    Attributes:
        source: what ledgers and summaries call it.
    """

    source: ClassVar[Source]

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """The columns whose cells are looked at."""

    @property
    @abstractmethod
    def weights(self) -> dict[str, float]:
        """The weight of each source of evidence."""

    @abstractmethod
    def probabilities(self, asked: AskedRows) -> tuple[Doubles, IntArray]:
        """Give the probabilities of answers, and the rows that are nearest.

        Args:
            asked: Q rows, their ``others`` of :attr:`columns`.

        Returns:
            (Q, S) probabilities, and (Q, K) row numbers in the table, -1 where there are fewer.
        """


@dataclass(frozen=True)
class FusedGrounds(Grounds):
    """Evidence that was fitted to training cells, fused.

    Attributes:
        evidence: sources and memory, fitted.
        fusion: their weights.
        rows: (M,) row numbers of the memory in the table.
    """

    source = "fused"

    evidence: FittedEvidence
    fusion: EvidenceFusion
    rows: IntArray

    @property
    def columns(self) -> Columns:
        """Those that the sources read."""
        return self.evidence.sources.columns

    @property
    def weights(self) -> dict[str, float]:
        """The weights that were fitted on out-of-fold evidence."""
        return dict(zip(self.evidence.sources.names, self.fusion.weights.tolist(), strict=True))

    def probabilities(self, asked: AskedRows) -> tuple[Doubles, IntArray]:
        """Fuse the evidence."""
        count, answers = len(asked.features), len(self.evidence.memory.counts)
        probabilities = np.empty((count, answers))
        neighbours = np.empty((count, NEIGHBOURS), np.int64)
        # Many values make wide arrays; a few rows at a time then.
        step = max(1, _EVIDENCE_NUMBERS // max(1, answers * len(self.evidence.sources.each)))
        for start in range(0, count, step):
            part = slice(start, start + step)
            rows = asked.take(part)
            found = self.evidence.of(rows)
            probabilities[part] = self.fusion.probabilities(found.scores, rows.possible)
            near = found.neighbours
            neighbours[part] = np.where(near >= 0, self.rows[near.clip(min=0)], -1)
        return probabilities, neighbours


@dataclass(frozen=True)
class PromptGrounds(Grounds):
    """Prompts alone, where too few training cells are there to fit anything to.

    Attributes:
        logit_scale: the encoder's factor on cosines.
    """

    source = "zero-shot"

    logit_scale: float

    @property
    def columns(self) -> Columns:
        """None: no other cell is asked."""
        return Columns.none()

    @property
    def weights(self) -> dict[str, float]:
        """None: nothing is weighed."""
        return {}

    def probabilities(self, asked: AskedRows) -> tuple[Doubles, IntArray]:
        """Turn the prompts' scores into probabilities."""
        neighbours = np.full((len(asked.features), NEIGHBOURS), -1, np.int64)
        shares = zero_shot_probabilities(asked.prompts, self.logit_scale, asked.possible)
        return shares, neighbours
