"""A memory of more than the base branch was trained on, fitted by validation rows.

An encoder that was trained on the very rows that are now to be memorised says of them better things
than it will say of new images, so a fusion that was fitted to them would be mistaken about both
branches. Hence all that is chosen here is chosen on validation rows.

A memory of the training rows alone adds nothing to a base branch whose encoder was tuned on them:
all that such neighbours know it has learnt. Two memories know more. One is of another encoder, such
as the tuned one at a larger image size, or the one before the tuning. The other holds the
validation rows too: by what chooses one must not train, but it can be remembered. Even so, each
validation row is asked about with none of the others in the memory. They come from one
photographer, shop or week, are nearer to each other than to any row to come, and would praise a
memory of themselves: of the Grocery Store data set's they said .957 where test rows say .899.

Votes are chosen by what they add to the base branch, not by how well they do alone. And validation
rows are few, and seldom quite like the rows to come, while a tuned base branch is good: the fusion
leaves it no further than they demand, see :func:`fit_beside`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from rac.branches.base import Floats, Integers
from rac.branches.retrieval import Lookup, RetrievalBranch
from rac.errors import InputError
from rac.fusion import Fusion, Heard, fit_fusion, fused, unfitted_fusion
from retrieval_index import EvenedMetric, exact_search
from training.crossfit import fit_metric
from training.data import FeatureData
from training.held_out import Choice, class_balanced_weights
from training.memory_rows import MemoryRows
from training.module import CosineHeads
from training.texts import every

_KS = (4, 8, 16, 30, 60, 120)
_TEMPERATURES = (0.03, 0.05, 0.1, 0.2)
_GAMMAS = (0.7, 0.9)
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 5


def choose_for_own_memory(
    heads: CosineHeads, data: FeatureData, own: MemoryRows
) -> tuple[Choice, EvenedMetric]:
    """Fit the memory's metric, and choose the votes that add most to the base branch.

    Args:
        heads: trained on ``data``.
        data: set up for training.
        own: the same rows, as the memory's encoder sees them.

    Returns:
        The choice, and the metric, which is fitted to the training rows.

    Raises:
        InputError: the text branch is asked for, which is not to be had with such a memory.
    """
    if data.text_branch == "on":
        raise InputError(
            "the text branch is heard where base branch and memory share an encoder; leave "
            "--data.text_branch at auto or off, or --data.memory_encoder out"
        )
    fitted, validation = data.fitted, data.validation
    if validation is None:
        raise RuntimeError("setup('fit') comes first, and it refuses to go without such rows")
    everyone = np.ones(len(fitted.classes), dtype=np.bool_)
    metric = fit_metric(own.rows, everyone, data.power, data.shrinkage)
    truth, counts = fitted.index(validation.labels), fitted.counts[0]
    found = _look_up(data, own, metric, truth)
    base = heads.head(0).log_probabilities(fitted.metrics[0].apply(validation.vectors))
    branch = choose_beside(base, found)
    votes = branch.log_probabilities(found.scores, found.classes, counts)
    heard = Heard(base, votes, truth, found.weights)
    return Choice(branch, None, heard, fusion=fit_beside(heard, counts)), metric


def fit_beside(
    heard: Heard, counts: Integers, *, ridges: Sequence[float] = _RIDGES, folds: int = _FOLDS
) -> Fusion:
    """Fit the fusion, held as near to the base branch alone as held-out rows allow.

    Of several strengths the strongest is taken whose log-loss, on rows that the fusion was not
    fitted to, is within one standard error of the least: the rule of Breiman, Friedman, Olshen and
    Stone (Classification and Regression Trees, 1984, section 3.4.3), with the standard error of the
    difference, row by row.

    Args:
        heard: of the validation rows.
        counts: ``(C,)`` training rows of each class.
        ridges: strengths to try, the weakest first.
        folds: for the comparison, at least 2; each class is spread over them.
    """
    alone = unfitted_fusion(counts, with_retrieval=False)
    rows = every(*heard.base.shape)
    heard = Heard(heard.base[rows], heard.retrieval[rows], heard.truth[rows], heard.weights[rows])
    kept = np.flatnonzero(heard.weights > 0)
    # One after the other, class by class.
    fold = np.zeros(len(heard.truth), dtype=np.int64)
    fold[kept[np.argsort(heard.truth[kept], kind="stable")]] = np.arange(len(kept)) % folds
    losses = np.zeros((len(ridges), len(heard.truth)))
    for number, ridge in enumerate(ridges):
        for out in range(folds):
            known = replace(heard, weights=np.where(fold != out, heard.weights, 0.0))
            said = fused(fit_fusion([known], counts, start=alone, ridge=ridge), heard, counts)
            right = said[np.arange(len(said)), heard.truth]
            losses[number] -= np.where(fold == out, heard.weights * right, 0.0)
    apart = losses - losses[losses.sum(axis=1).argmin()]
    within = apart.sum(axis=1) <= apart[:, kept].std(axis=1) * np.sqrt(len(kept))
    ridge = max(one for one, fine in zip(ridges, within, strict=True) if fine)
    return fit_fusion([heard], counts, start=alone, ridge=ridge)


def _look_up(data: FeatureData, own: MemoryRows, metric: EvenedMetric, truth: Integers) -> Lookup:
    """Look the validation rows up among the training rows."""
    fitted = data.fitted
    space, queries = metric.apply(own.rows.averaged()), metric.apply(own.validation.vectors)
    near = exact_search(space, queries, min(max(_KS), len(space)))
    weights = class_balanced_weights(truth, truth >= 0, len(fitted.names))
    return Lookup(near.scores, fitted.classes[near.rows], fitted.counts[0], truth, weights)


def choose_beside(
    base: Floats,
    found: Lookup,
    *,
    ks: Sequence[int] = _KS,
    temperatures: Sequence[float] = _TEMPERATURES,
    gammas: Sequence[float] = _GAMMAS,
) -> RetrievalBranch:
    """Choose k, temperature and gamma by the log-loss of base branch and votes together.

    Each candidate is judged by the fusion that is fitted to it. That has five weights whatever the
    candidate, so that none of them is favoured for having more to fit with.

    Args:
        base: ``(N, C)`` log-probabilities of the base branch.
        found: what the same N rows found among the training rows.
        ks: numbers of neighbours to try; those beyond the neighbours found are as good as all.
        temperatures: temperatures to try.
        gammas: exponents to try.

    Returns:
        The candidate with the least loss; of equals, the first in the order given.
    """
    rows, counts = every(*base.shape), found.counts
    scores, classes = found.scores[rows], found.classes[rows]
    base, truth, weights = base[rows], found.truth[rows], found.weights[rows]

    def loss(branch: RetrievalBranch) -> float:
        votes = branch.log_probabilities(scores, classes, counts)
        heard = Heard(base, votes, truth, weights)
        answer = fused(fit_fusion([heard], counts), heard, counts)
        return -float(weights @ answer[np.arange(len(answer)), truth])

    most = scores.shape[1]
    tried = [k for place, k in enumerate(ks) if place == 0 or ks[place - 1] < most]
    candidates = [RetrievalBranch(k, t, g) for k, t, g in product(tried, temperatures, gammas)]
    return candidates[int(np.argmin([loss(candidate) for candidate in candidates]))]
