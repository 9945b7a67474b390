"""Gaussian discriminant analysis with one covariance, and the zero-shot logits beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Floats, Ints
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
from retrieval_index.within_class import class_means


@dataclass(frozen=True)
class GaussianSetting:
    """A space, and the weight of the zero-shot logits beside the discriminant's."""

    space: Space
    zero_shot: float


class GaussianDiscriminant(Baseline[GaussianSetting]):
    """Classes as Gaussians of one covariance and equal priors, on features of norm 1.

    Wang et al., A hard-to-beat baseline for training-free CLIP-based adaptation, ICLR 2024: the
    discriminant of section 3.1 with the precision matrix of Kubokawa and Srivastava, added to the
    logits of the prompts.
    """

    name = "gaussian-discriminant"

    def grid(self) -> Sequence[GaussianSetting]:
        """Both spaces with six weights of the zero-shot logits, none among them."""
        weights = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
        return [GaussianSetting(space, weight) for space, weight in product(SPACES, weights)]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: GaussianSetting,
        seed: int,
    ) -> Predictor:
        """Estimate means and precision; without prompts, the weight is not heard."""
        rows = train.space(setting.space)
        means = class_means(rows, train.classes, len(counts))
        directions = means @ shrunk_precision(rows - means[train.classes])
        offsets = -0.5 * (directions * means).sum(axis=1)

        def discriminant(queries: Queries) -> Floats:
            scores = queries.space(setting.space) @ directions.T + offsets
            return np.asarray(without_absent(scores, counts), np.float64)

        return _beside(discriminant, prompts, setting.zero_shot)

    def fit_all(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        settings: Sequence[GaussianSetting],
        seed: int,
    ) -> list[Predictor]:
        """Fit each space once; the weights differ only in what is added."""
        spaces = dict.fromkeys(setting.space for setting in settings)
        alone = {
            space: self.fit(train, None, counts, GaussianSetting(space, 0.0), seed)
            for space in spaces
        }
        return [_beside(alone[one.space], prompts, one.zero_shot) for one in settings]


def _beside(discriminant: Predictor, prompts: Prompts | None, weight: float) -> Predictor:
    def predict(queries: Queries) -> Floats:
        scores = discriminant(queries)
        added = 0.0 if prompts is None else weight * prompts.logits(queries)
        return np.asarray(scores + added, np.float64)

    return predict


def shrunk_precision(residuals: Floats) -> Floats:
    """Estimate the inverse of a covariance, safe where there are fewer rows than dimensions.

    D ((N - 1) S + tr(S) I)^-1 with the sample covariance S: Kubokawa and Srivastava, Estimation of
    the precision matrix of a singular Wishart distribution, 2008, as Wang et al. take it.

    Args:
        residuals: (N, D) rows less the mean of their class.

    Returns:
        (D, D); the identity where the rows do not spread at all.

    >>> shrunk_precision(np.array([[1.0, 0.0], [-1.0, 0.0]])).round(6).tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    rows, dim = residuals.shape
    covariance = residuals.T @ residuals / max(1, rows - 1)
    trace = float(np.trace(covariance))
    if trace == 0:
        return np.eye(dim)
    inverse: Floats = dim * np.linalg.inv((rows - 1) * covariance + trace * np.eye(dim))
    return inverse
