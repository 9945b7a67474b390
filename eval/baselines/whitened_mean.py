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
    class_means,
    unit_rows,
    without_absent,
)
from retrieval_index.within_class import within_class_residuals


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
            spread = WithinSpread.of(rows, train.classes)
            turned = spread.turn(rows)
            for setting in settings:
                if (setting.space, setting.unit) == (space, unit):
                    white = spread.even(turned, setting.shrinkage)
                    means = unit_rows(class_means(white, train.classes, len(counts)))
                    fitted[setting] = _nearest(means, counts, setting, spread)
        return [fitted[setting] for setting in settings]


@dataclass(frozen=True, eq=False)
class WithinSpread:
    """How the rows of a class differ from their mean.

    Attributes:
        mean: (D,) of all rows.
        directions: (D, D) the axes of the covariance, as columns.
        spread: (D,) the variance along each.
        shrinkage: what Ledoit and Wolf put on the identity.
    """

    mean: Floats
    directions: Floats
    spread: Floats
    shrinkage: float

    @classmethod
    def of(cls, rows: Scores, classes: Ints) -> WithinSpread:
        """Estimate it; where every class has one row, from all rows about their mean."""
        from sklearn.covariance import ledoit_wolf_shrinkage

        mean = rows.mean(axis=0, dtype=np.float64)
        residuals = within_class_residuals(rows, [str(number) for number in classes])
        if not residuals.any():
            residuals = rows - mean
        if not residuals.any():
            return cls(mean, np.eye(len(mean)), np.ones(len(mean)), 1.0)
        spread, directions = np.linalg.eigh(residuals.T @ residuals / len(residuals))
        weight = float(ledoit_wolf_shrinkage(residuals, assume_centered=True))
        return cls(mean, directions, np.maximum(spread, 0.0), weight)

    def turn(self, rows: Scores) -> Floats:
        """Give (N, D) rows along the axes of the covariance."""
        turned: Floats = (rows - self.mean) @ self.directions
        return turned

    def even(self, turned: Floats, shrinkage: float) -> Scores:
        """Scale (N, D) turned rows so that a class spreads alike in all directions; norm 1."""
        weight = max(shrinkage, self.shrinkage)
        shrunk = (1 - weight) * self.spread + weight * self.spread.mean()
        # With no shrinkage at all a direction may have no spread.
        shrunk = np.maximum(shrunk, np.finfo(np.float32).eps * shrunk.max())
        return unit_rows(turned / np.sqrt(shrunk))


def _features(queries: Queries, space: Space, unit: bool) -> Scores:
    if unit:
        return queries.space(space)
    return queries.trunk if space == "trunk" else queries.embedding


def _nearest(
    means: Scores, counts: Ints, setting: WhitenedSetting, spread: WithinSpread
) -> Predictor:
    def predict(queries: Queries) -> Floats:
        turned = spread.turn(_features(queries, setting.space, setting.unit))
        cosines = spread.even(turned, setting.shrinkage) @ means.T
        return np.asarray(without_absent(cosines, counts), np.float64)

    return predict
