"""Evidence of prompts: how much the image looks like each value's words."""

from __future__ import annotations

from typing import Self

import numpy as np

from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.task.attribute_task import AttributeTask, Fold
from rac.attributes.task.queries import Queries
from rac.encoders.base import FloatArray


class PromptEvidence(EvidenceSource):
    """Cosines of image and prompts about their means; 0 for "not applicable": it has no words."""

    name = "zero-shot"
    monotone = True
    needs_image = True
    unseen_values = True

    def __init__(self, answer_count: int) -> None:
        self._answer_count = answer_count

    @classmethod
    def fit(cls, task: AttributeTask) -> Self:
        """No training row is needed."""
        return cls(task.training.answer_count)

    def without(self, fold: Fold) -> Self:
        """No training row is in it."""
        return self

    def scores(self, queries: Queries) -> FloatArray:
        """Give the (Q, S) scores."""
        prompts = queries.rows.prompts
        scores = np.zeros((len(prompts), self._answer_count), np.float32)
        scores[:, : prompts.shape[1]] = prompts
        return scores
