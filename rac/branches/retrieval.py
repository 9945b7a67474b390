"""The retrieval branch: what the labels of the nearest rows of the memory say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from rac.branches.votes import Floats, Integers, class_balanced_votes


@dataclass(frozen=True)
class RetrievalBranch:
    """Class-balanced votes of the k nearest rows.

    Attributes:
        k: neighbours that are heard, at least 1.
        temperature: of the similarities, > 0.
        gamma: exponent of the class counts that votes are divided by, >= 0.
    """

    k: int
    temperature: float
    gamma: float

    def log_probabilities(self, scores: Floats, classes: Integers, counts: Integers) -> Floats:
        """Give ``(N, C)`` log vote shares.

        Args:
            scores: ``(N, K)`` similarities, nearest first; only the first k are heard.
            classes: ``(N, K)`` class of each neighbour, -1 where there is none.
            counts: ``(C,)`` rows of each class in the memory.
        """
        return class_balanced_votes(
            scores[:, : self.k],
            classes[:, : self.k],
            counts,
            temperature=self.temperature,
            gamma=self.gamma,
        )


@dataclass(frozen=True)
class Lookup:
    """What a set of labelled queries found in a memory that does not hold them.

    Attributes:
        scores: ``(N, K)`` similarities, nearest first, -inf where none.
        classes: ``(N, K)`` class of each neighbour, -1 where none.
        counts: ``(C,)`` rows of each class in that memory.
        truth: ``(N,)`` the queries' own classes.
        weights: ``(N,)`` >= 0, the say of each query; they need not add to one.
    """

    scores: Floats
    classes: Integers
    counts: Integers
    truth: Integers
    weights: npt.NDArray[np.float64]


def choose_retrieval(
    lookups: Sequence[Lookup],
    *,
    ks: Sequence[int] = (4, 8, 16, 30),
    temperatures: Sequence[float] = (0.03, 0.05, 0.08, 0.12),
    gammas: Sequence[float] = (0.5, 0.7, 0.9),
) -> RetrievalBranch:
    """Choose k, temperature and gamma by the weighted log-loss of queries held out of the memory.

    Args:
        lookups: one for each memory that was searched (each fold, and the validation rows).
        ks: numbers of neighbours to try.
        temperatures: temperatures to try.
        gammas: exponents to try.

    Returns:
        The candidate with the least loss; of equals, the first in the order given.

    Raises:
        ValueError: no query has a weight above zero.
    """
    if not any(lookup.weights.sum() > 0 for lookup in lookups):
        raise ValueError("there is no held-out query to choose by")
    candidates = [RetrievalBranch(k, t, g) for k, t, g in product(ks, temperatures, gammas)]
    losses = [_loss(candidate, lookups) for candidate in candidates]
    return candidates[int(np.argmin(losses))]


def _loss(branch: RetrievalBranch, lookups: Sequence[Lookup]) -> float:
    total = weight = 0.0
    for found in lookups:
        said = branch.log_probabilities(found.scores, found.classes, found.counts)
        right = said[np.arange(len(said)), found.truth]
        total -= float(found.weights @ right)
        weight += float(found.weights.sum())
    return total / weight
