"""What speaks for each value of a cell: prompts, near rows, and the means of the values.

Letters of shapes: M known rows, Q queries, P dimensions of the projected trunk features, C values,
F kinds of evidence, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.branches.votes import class_balanced_votes
from rac.encoders.base import FloatArray, unit_norm
from retrieval_index.flat import flat_search
from retrieval_index.metric import CosineMetric, Metric, WhitenedMetric

IntArray = npt.NDArray[np.int64]

KINDS = ("zero-shot", "whitened votes", "cosine votes", "value mean", "rows of the value")
"""The kinds of evidence, in the order of the last axis of ``Evidence.scores``."""

MORE_IS_LIKELIER = (True, True, True, True, False)
"""Whether a kind may only speak for a value, never against it, the more there is of it."""

NEIGHBOURS = 16
_WHITENED_TEMPERATURE = 0.1
_COSINE_TEMPERATURE = 0.05
_GAMMA = 0.7


@dataclass(frozen=True)
class Evidence:
    """What speaks for each value of Q cells.

    Attributes:
        scores: (Q, C, F) float32, any range; comparable within one kind.
        neighbours: (Q, K) int64, number of the nearest known rows, -1 where there are fewer.
    """

    scores: FloatArray
    neighbours: IntArray


class AttributeMemory:
    """The rows whose value of one attribute is known, and what they say of other rows."""

    def __init__(self, features: FloatArray, codes: IntArray, value_count: int) -> None:
        """Fit the metric of this attribute.

        Args:
            features: (M, P) float32 projected trunk features.
            codes: (M,) value of each row, in [0, C).
            value_count: C.
        """
        self.codes = codes
        self.counts = np.bincount(codes, minlength=value_count)
        self._metrics: tuple[Metric, Metric] = (
            WhitenedMetric.fit(features, [str(code) for code in codes]),
            CosineMetric(),
        )
        self._rows = tuple(metric.apply(features) for metric in self._metrics)
        sums = np.zeros((value_count, self._rows[0].shape[1]), np.float32)
        np.add.at(sums, codes, self._rows[0])
        self._means = unit_norm(sums)

    def evidence(self, features: FloatArray, zero_shot: FloatArray) -> Evidence:
        """Collect the evidence for Q rows, none of which may be among the known ones.

        Args:
            features: (Q, P) float32 projected trunk features.
            zero_shot: (Q, C) scores from prompts; zeros where there are none.
        """
        queries = [metric.apply(features) for metric in self._metrics]
        scores = np.empty((*zero_shot.shape, len(KINDS)), np.float32)
        scores[..., 0] = zero_shot
        neighbours = np.full((len(features), NEIGHBOURS), -1, np.int64)
        for place, temperature in ((0, _WHITENED_TEMPERATURE), (1, _COSINE_TEMPERATURE)):
            found = flat_search(self._rows[place], queries[place], NEIGHBOURS)
            codes = np.where(found.rows >= 0, self.codes[found.rows.clip(min=0)], -1)
            scores[..., 1 + place] = class_balanced_votes(
                found.scores, codes, self.counts, temperature=temperature, gamma=_GAMMA
            )
            if place == 0:
                neighbours = found.rows
        nearness = queries[0] @ self._means.T
        # A value without a known row is as far as the farthest that has one.
        scores[..., 3] = np.where(self.counts > 0, nearness, nearness.min(axis=1, keepdims=True))
        scores[..., 4] = np.log1p(self.counts)
        return Evidence(scores, neighbours)
