"""The cosine classifier with a logit-adjusted loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from eval.arrays import Ints, Scores
from eval.baselines.base import (
    SPACES,
    Baseline,
    Examples,
    Predictor,
    Prompts,
    Queries,
    Space,
    without_absent,
)
from eval.baselines.cosine_head import Descent, train_cosine_head
from retrieval_index.within_class import class_means

_ITERATIONS = 40


@dataclass(frozen=True)
class CosineSetting:
    """A space, the factor on cosines and the strength of the logit adjustment."""

    space: Space
    scale: float
    tau: float


class CosineClassifier(Baseline[CosineSetting]):
    """A direction for each class, from the class mean on, and a logit-adjusted loss.

    Gidaris and Komodakis, Dynamic few-shot visual learning without forgetting, CVPR 2018 (the
    classifier); Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (the loss).
    """

    name = "cosine-logit-adjusted"

    def grid(self) -> Sequence[CosineSetting]:
        """Both spaces with two scales and three strengths."""
        choices = product(SPACES, (20.0, 40.0), (0.5, 1.0, 1.5))
        return [CosineSetting(*one) for one in choices]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: CosineSetting,
        seed: int,
    ) -> Predictor:
        """Train the directions."""
        rows = train.space(setting.space)
        means = class_means(rows, train.classes, len(counts)).astype("float32")
        descent = Descent(setting.scale, setting.tau, _ITERATIONS)
        weights = train_cosine_head(rows, train.classes, means, descent)

        def predict(queries: Queries) -> Scores:
            cosines = queries.space(setting.space) @ weights.T
            return without_absent(setting.scale * cosines, counts)

        return predict
