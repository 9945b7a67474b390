"""k nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

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

TEMPERATURE = 0.07
"""Of the similarities that votes are weighted by."""

_BLOCK_CELLS = 1 << 24  # similarities held together


@dataclass(frozen=True)
class NearestSetting:
    """``k`` neighbours in a space."""

    space: Space
    k: int


class NearestNeighbour(Baseline[NearestSetting]):
    """Votes of the k training rows of the highest cosine, weighted by exp(cosine / 0.07).

    Wu et al., Unsupervised feature learning via non-parametric instance discrimination, CVPR 2018,
    section 3.4. With k of 1 it is the nearest neighbour. A class's score is the logarithm of its
    share of the votes, where one vote in k + 1 is spread over all classes, so that a class without
    a neighbour is unlikely, not impossible.
    """

    name = "nearest-neighbour"

    def grid(self) -> Sequence[NearestSetting]:
        """Both spaces with k from 1 to 50."""
        return [NearestSetting(space, k) for space, k in product(SPACES, (1, 3, 5, 10, 20, 50))]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: NearestSetting,
        seed: int,
    ) -> Predictor:
        """Keep the rows."""
        k = min(setting.k, len(train))
        keys, classes = train.space(setting.space), train.classes

        def predict(queries: Queries) -> Scores:
            found = np.empty((len(queries), len(counts)), np.float32)
            rows = queries.space(setting.space)
            step = max(1, _BLOCK_CELLS // len(keys))
            for start in range(0, len(rows), step):
                found[start : start + step] = vote_scores(
                    rows[start : start + step] @ keys.T, classes, len(counts), k
                )
            return np.asarray(without_absent(found, counts), np.float32)

        return predict


def vote_scores(cosines: Scores, classes: Ints, count: int, k: int) -> Scores:
    """Give (N, C) logarithms of the classes' shares of the votes.

    Args:
        cosines: (N, M) of queries and training rows.
        classes: (M,) of the training rows.
        count: C.
        k: neighbours that are heard, from 1 to M.
    """
    nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    near = np.take_along_axis(cosines, nearest, axis=1)
    weights = np.exp((near - near.max(axis=1, keepdims=True)) / TEMPERATURE)
    weights /= weights.sum(axis=1, keepdims=True)
    shares = np.zeros((len(cosines), count), np.float32)
    for place in range(k):
        shares[np.arange(len(cosines)), classes[nearest[:, place]]] += weights[:, place]
    return np.asarray(np.log((k * shares + 1 / count) / (k + 1)), np.float32)
