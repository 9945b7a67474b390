"""The nearest class mean, in the features as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Ints
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
from retrieval_index.arrays import unit_norm
from retrieval_index.within_class import class_means


@dataclass(frozen=True)
class ClassMeanSetting:
    """A space, and whether the mean of all training rows is taken off first."""

    space: Space
    centred: bool


class ClassMean(Baseline[ClassMeanSetting]):
    """The cosine to the mean of each class's rows.

    Mensink et al., Distance-based image classification: generalizing to new classes at near-zero
    cost, TPAMI 2013; with the cosine, and centred, as Wang et al., SimpleShot: revisiting
    nearest-neighbor classification for few-shot learning, arXiv 1911.04623.
    """

    name = "class-mean"

    def grid(self) -> Sequence[ClassMeanSetting]:
        """Both spaces, centred and not."""
        return [ClassMeanSetting(*one) for one in product(SPACES, (False, True))]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: ClassMeanSetting,
        seed: int,
    ) -> Predictor:
        """Average the rows of each class."""
        rows = train.space(setting.space)
        centre = rows.mean(axis=0) if setting.centred else np.zeros(rows.shape[1], np.float32)
        means = unit_norm(class_means(unit_norm(rows - centre), train.classes, len(counts)))

        def predict(queries: Queries) -> np.ndarray:
            found = unit_norm(queries.space(setting.space) - centre)
            return without_absent(found @ means.T, counts)

        return predict
