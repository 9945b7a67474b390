"""Tip-Adapter: a cache of training rows beside the zero-shot logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Ints, Scores
from eval.baselines.base import Baseline, Examples, Predictor, Prompts, Queries
from eval.baselines.zero_shot import required

_BLOCK_CELLS = 1 << 24  # affinities held together


@dataclass(frozen=True)
class TipSetting:
    """The weight ``alpha`` of the cache, and how steeply (``beta``) affinity falls."""

    alpha: float
    beta: float


class TipAdapter(Baseline[TipSetting]):
    """Zero-shot logits plus the classes of the training rows by their affinity.

    Zhang et al., Tip-Adapter: training-free adaption of CLIP for few-shot classification, ECCV
    2022, equations 3 to 6, on the embedding.
    """

    name = "tip-adapter"
    needs_prompts = True

    def grid(self) -> Sequence[TipSetting]:
        """The paper's first choice (1, 5.5) and what lies about it, on a coarse scale."""
        return [TipSetting(*one) for one in product((1.0, 10.0, 100.0, 1000.0), (5.5, 20.0, 60.0))]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: TipSetting,
        seed: int,
    ) -> Predictor:
        """Keep the rows."""
        return cache_model(
            train.space("embedding"), train.classes, required(prompts), len(counts), setting
        )


def cache_model(
    keys: Scores, classes: Ints, prompts: Prompts, count: int, setting: TipSetting
) -> Predictor:
    """Give the predictor of a cache.

    Args:
        keys: (M, D) float32 of about unit norm.
        classes: (M,) of the keys.
        prompts: of the C classes.
        count: C.
        setting: ``alpha`` and ``beta``.
    """
    member = np.zeros((len(classes), count), np.float32)
    member[np.arange(len(classes)), classes] = 1

    def predict(queries: Queries) -> Scores:
        rows, logits = queries.space("embedding"), prompts.logits(queries)
        step = max(1, _BLOCK_CELLS // len(keys))
        for start in range(0, len(rows), step):
            affinity = np.exp(setting.beta * (rows[start : start + step] @ keys.T - 1))
            logits[start : start + step] += setting.alpha * (affinity @ member)
        return logits

    return predict
