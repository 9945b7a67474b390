"""The nearest class mean, in features whitened by the covariance within classes."""

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
    class_means,
    unit_rows,
    without_absent,
)
from retrieval_index.evened import EvenedMetric


@dataclass(frozen=True)
class WhitenedSetting:
    """A space, and the least weight of the identity in the shrunk covariance."""

    space: Space
    shrinkage: float


class WhitenedMean(Baseline[WhitenedSetting]):
    """The cosine to class means after whitening by the shrunk within-class covariance.

    The metric of linear discriminant analysis (Fisher 1936), with the covariance shrunk towards the
    identity by the estimate of Ledoit and Wolf (A well-conditioned estimator for large-dimensional
    covariance matrices, 2004) or more, and rows scaled to norm 1 after whitening.
    """

    name = "whitened-class-mean"

    def grid(self) -> Sequence[WhitenedSetting]:
        """Both spaces with shrinkage from that of Ledoit and Wolf to nine tenths."""
        shares = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
        return [WhitenedSetting(space, share) for space, share in product(SPACES, shares)]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: WhitenedSetting,
        seed: int,
    ) -> Predictor:
        """Estimate the covariance, whiten, average."""
        rows = train.space(setting.space)
        names = [str(number) for number in train.classes]
        metric = EvenedMetric.fit(rows, names, power=1.0, shrinkage=setting.shrinkage)
        means = unit_rows(class_means(metric.apply(rows), train.classes, len(counts)))

        def predict(queries: Queries) -> Scores:
            found = metric.apply(queries.space(setting.space)) @ means.T
            return without_absent(found, counts)

        return predict
