"""The text branch: what the snippets of the nearest rows say, read by the encoder's text tower.

Long et al. (CVPR 2022, section 3.2) give the texts of the neighbours through a text encoder to the
classifier. A class can then be believed because of how the neighbours are called and described,
also where their labels are others: what is said of one apple speaks for all apples.

A row's snippet is the name of its class, and its caption where it has one. The snippets of the
neighbours are averaged by an attention over their similarities, balanced by class as the votes are,
and compared with the average snippet of each class's training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from rac.branches.base import Floats, Integers, class_means, log_softmax
from rac.branches.retrieval import Lookup
from retrieval_index.arrays import unit_norm


@dataclass(frozen=True, eq=False)
class TextBranch:
    """Attention over the neighbours' snippets, to logits.

    Attributes:
        names: ``(C, E)`` float32, unit norm: the embedded names of the classes.
        prototypes: ``(C, E)`` float32, unit norm: the snippets of each class, on average.
        k: neighbours that are heard, at least 1.
        temperature: of the similarities, > 0.
        gamma: exponent of the class counts that the attention is divided by, >= 0.
        scale: > 0, the logit of a class whose prototype the neighbours' snippets equal.
    """

    names: Floats
    prototypes: Floats
    k: int
    temperature: float
    gamma: float
    scale: float

    def values(self, captions: Floats | None, classes: Integers) -> Floats:
        """Give what the rows of a memory bring to the attention.

        Args:
            captions: ``(M, E)`` unit-norm text vectors, zero for a row without a caption; None
                where no row has one.
            classes: ``(M,)`` class of each row, -1 where it is none of the model's.

        Returns:
            ``(M, C)`` cosines with the prototypes; the ``(M, E)`` snippets where these are smaller.
        """
        told = snippets(self.names, captions, classes)
        return told @ self.prototypes.T if self._compared_first else told

    def log_probabilities(
        self, scores: Floats, rows: Integers, classes: Integers, counts: Integers, values: Floats
    ) -> Floats:
        """Give ``(N, C)`` log-probabilities; a query without a neighbour gets the even share.

        Args:
            scores: ``(N, K)`` similarities, nearest first; only the first k are heard.
            rows: ``(N, K)`` row of each neighbour in the memory, -1 where there is none.
            classes: ``(N, K)`` class of each neighbour; those with -1 are not heard.
            counts: ``(C,)`` rows of each class in the memory.
            values: what :meth:`values` gave of the memory's M rows.
        """
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        heard = classes[:, : self.k]
        weights = attention(
            scores[:, : self.k], heard, counts, temperature=self.temperature, gamma=self.gamma
        )
        places = np.where(heard >= 0, rows[:, : self.k], 0).ravel()
        ends = np.arange(len(heard) + 1) * heard.shape[1]
        said = csr_array((weights.ravel(), places, ends), (len(heard), len(values))) @ values
        if not self._compared_first:
            said = said @ self.prototypes.T
        return log_softmax(self.scale * said)

    @property
    def _compared_first(self) -> bool:
        classes, dimension = self.prototypes.shape
        return bool(classes <= dimension)


def attention(
    scores: Floats, classes: Integers, counts: Integers, *, temperature: float, gamma: float
) -> Floats:
    """Give the ``(N, K)`` float32 weights of the neighbours; they add to one.

    Neighbour ``j`` weighs ``exp(s_j / temperature) / counts[class_j] ** gamma``, as in the votes.

    Args:
        scores: ``(N, K)`` similarities.
        classes: ``(N, K)`` class of each neighbour; those with -1 weigh nothing.
        counts: ``(C,)`` rows of each class in the memory.
        temperature: > 0.
        gamma: >= 0.

    Two neighbours, equally near, of classes with four rows and one:

    >>> near, own = np.array([[0.5, 0.5]], np.float32), np.array([[0, 1]])
    >>> attention(near, own, np.array([4, 1]), temperature=0.1, gamma=1.0)
    array([[0.2, 0.8]], dtype=float32)
    """
    masked = np.where((classes >= 0) & np.isfinite(scores), scores, -np.inf)
    largest = masked.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp((masked - np.where(np.isfinite(largest), largest, 0)) / temperature)
    weights = weights / (np.maximum(counts, 1.0) ** gamma)[np.maximum(classes, 0)]
    totals = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    return np.asarray(shares, dtype=np.float32)


def snippets(names: Floats, captions: Floats | None, classes: Integers) -> Floats:
    """Give the ``(M, E)`` unit-norm snippets of rows: the name of the class and the caption.

    Args:
        names: ``(C, E)`` unit norm.
        captions: ``(M, E)`` unit norm, zero for a row without a caption; None for none at all.
        classes: ``(M,)``, -1 where a row is of no class; its caption stands alone.
    """
    named = np.where((classes >= 0)[:, None], names[np.maximum(classes, 0)], np.float32(0))
    return unit_norm(named if captions is None else named + captions)


def prototypes(names: Floats, told: Floats, classes: Integers) -> Floats:
    """Give the ``(C, E)`` average snippet of each class, its name where it has no row.

    Args:
        names: ``(C, E)`` unit norm.
        told: ``(M, E)`` snippets of training rows.
        classes: ``(M,)`` their classes.
    """
    means = class_means(told, classes, len(names))
    known = np.bincount(classes, minlength=len(names)) > 0
    return np.where(known[:, None], means, names)


@dataclass(frozen=True, eq=False)
class Told:
    """What a lookup found, in snippets.

    Attributes:
        lookup: the queries and what they found.
        rows: ``(N, K)`` row of each neighbour, -1 where there is none.
        names: ``(C, E)`` unit norm.
        prototypes: ``(C, E)`` of the rows in that memory.
        captions: ``(M, E)`` of all rows, or None.
        classes: ``(M,)`` of all rows.
    """

    lookup: Lookup
    rows: Integers
    names: Floats
    prototypes: Floats
    captions: Floats | None
    classes: Integers

    def heard_by(self, branch: TextBranch) -> Floats:
        """Give ``(N, C)`` log-probabilities of the queries, by the prototypes of that memory."""
        own = replace(branch, prototypes=self.prototypes)
        found = self.lookup
        values = own.values(self.captions, self.classes)
        return own.log_probabilities(found.scores, self.rows, found.classes, found.counts, values)


def choose_text(
    branch: TextBranch,
    told: Sequence[Told],
    *,
    temperatures: Sequence[float] = (0.03, 0.05, 0.08, 0.12),
    scales: Sequence[float] = (5.0, 10.0, 20.0, 40.0),
) -> TextBranch:
    """Choose temperature and scale by the weighted log-loss of queries held out of the memory.

    Returns:
        The candidate with the least loss; of equals, the first in the order given; the branch as
        it is where no query has a weight above zero.
    """
    if not any(one.lookup.weights.sum() > 0 for one in told):
        return branch
    candidates = [
        replace(branch, temperature=temperature, scale=scale)
        for temperature, scale in product(temperatures, scales)
    ]
    losses = [sum(_loss(candidate, one) for one in told) for candidate in candidates]
    return candidates[int(np.argmin(losses))]


def _loss(branch: TextBranch, told: Told) -> float:
    said = told.heard_by(branch)
    right: npt.NDArray[np.float32] = said[np.arange(len(said)), told.lookup.truth]
    return -float(told.lookup.weights @ right)
