"""LIFT's classifier: cosine, started from the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from eval.arrays import Ints, Scores
from eval.baselines.base import Baseline, Examples, Predictor, Prompts, Queries
from eval.baselines.cosine_head import Descent, train_cosine_head
from eval.baselines.zero_shot import required


@dataclass(frozen=True)
class LiftSetting:
    """The factor on cosines, and how long the directions are trained."""

    scale: float
    iterations: int


class Lift(Baseline[LiftSetting]):
    """A cosine classifier on the embedding, from the prompts on, with a logit-adjusted loss.

    Shi et al., Long-tail learning with foundation model: heavy fine-tuning hurts, ICML 2024:
    the semantic-aware initialisation and the loss (section 4) without the adapters in the encoder,
    which is frozen for every method here. A class without a training image keeps its prompt.
    """

    name = "lift"
    needs_prompts = True

    def grid(self) -> Sequence[LiftSetting]:
        """The paper's scale and two others, four lengths."""
        return [LiftSetting(*one) for one in product((15.0, 25.0, 40.0), (5, 15, 30, 60))]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: LiftSetting,
        seed: int,
    ) -> Predictor:
        """Train the directions."""
        weights = train_cosine_head(
            train.space("embedding"),
            train.classes,
            required(prompts).vectors,
            Descent(setting.scale, 1.0, setting.iterations),
        )

        def predict(queries: Queries) -> Scores:
            scores: Scores = setting.scale * (queries.space("embedding") @ weights.T)
            return scores

        return predict
