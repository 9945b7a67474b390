"""The nearest class mean, in features whitened by the covariance within classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Floats, Ints, Scores
from eval.baselines.base import (
    Baseline,
    Examples,
    Predictor,
    Prompts,
    Queries,
    Space,
    without_absent,
)
from retrieval_index.arrays import unit_norm
from retrieval_index.within_class import WithinClassSpread, class_means


@dataclass(frozen=True)
class WhitenedSetting:
    """What is whitened, and the least weight of the identity in the covariance.

    Attributes:
        space: of the features.
        unit: whether rows are scaled to norm 1 before they are whitened, too.
        shrinkage: in [0, 1]; the estimate of Ledoit and Wolf may ask for more.
    """

    space: Space
    unit: bool
    shrinkage: float


class WhitenedMean(Baseline[WhitenedSetting]):
    """The cosine to class means after whitening by the shrunk within-class covariance.

    The metric of linear discriminant analysis (Fisher 1936), with the covariance shrunk towards the
    identity by the estimate of Ledoit and Wolf (A well-conditioned estimator for large-dimensional
    covariance matrices, 2004) or more, and rows scaled to norm 1 after whitening.
    """

    name = "whitened-class-mean"

    def grid(self) -> Sequence[WhitenedSetting]:
        """Trunk features as they are and of norm 1, and embeddings; four shrinkages."""
        kinds: list[tuple[Space, bool]] = [("trunk", False), ("trunk", True), ("embedding", True)]
        return [
            WhitenedSetting(space, unit, shrinkage)
            for (space, unit), shrinkage in product(kinds, (0.0, 0.1, 0.3, 0.6))
        ]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: WhitenedSetting,
        seed: int,
    ) -> Predictor:
        """Estimate the covariance, whiten, average."""
        return self.fit_all(train, prompts, counts, [setting], seed)[0]

    def fit_all(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        settings: Sequence[WhitenedSetting],
        seed: int,
    ) -> list[Predictor]:
        """Decompose each covariance once; the shrinkages differ only in its spread."""
        fitted: dict[WhitenedSetting, Predictor] = {}
        for space, unit in dict.fromkeys((setting.space, setting.unit) for setting in settings):
            rows = _features(train, space, unit)
            spread = WithinClassSpread.of(rows, [str(number) for number in train.classes])
            turned = _turned(rows, spread)
            for setting in settings:
                if (setting.space, setting.unit) == (space, unit):
                    white = unit_norm(turned / spread.widths(setting.shrinkage))
                    means = unit_norm(class_means(white, train.classes, len(counts)))
                    fitted[setting] = _nearest(means, counts, setting, spread)
        return [fitted[setting] for setting in settings]


def _features(queries: Queries, space: Space, unit: bool) -> Scores:
    if unit:
        return queries.space(space)
    return queries.trunk if space == "trunk" else queries.embedding


def _turned(rows: Scores, spread: WithinClassSpread) -> Floats:
    """Give (N, D) rows along the axes of the covariance."""
    turned: Floats = (rows - spread.mean) @ spread.directions
    return turned


def _nearest(
    means: Scores, counts: Ints, setting: WhitenedSetting, spread: WithinClassSpread
) -> Predictor:
    widths = spread.widths(setting.shrinkage)

    def predict(queries: Queries) -> Floats:
        turned = _turned(_features(queries, setting.space, setting.unit), spread)
        cosines = unit_norm(turned / widths) @ means.T
        return np.asarray(without_absent(cosines, counts), np.float64)

    return predict
