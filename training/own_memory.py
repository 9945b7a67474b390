"""A memory of another encoder than the base branch's: its metric, its votes, on validation rows.

The encoder of such a base branch was mostly trained on the very rows that are now to be memorised,
so what it says of them is better than what it will say of new images. A fusion that was fitted to
them would listen to nobody else. Hence all that is chosen here is chosen on validation rows.

Votes are chosen by what they add to the base branch, not by how well they do alone. On the 296
validation rows of grocery-store, over a tuned base with a log-loss of .44 (rows judged by fusions
fitted to others), 16 neighbours of the frozen encoder bring it to .42 and 120 to .39: what is
nearest of all the base branch knows itself.

Validation rows are few and seldom quite like the rows to come, and a tuned base branch is good. So
the fusion leaves it no further than they demand, see :func:`fit_beside`.
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

_KS = (8, 16, 30, 60, 120)
_TEMPERATURES = (0.05, 0.1, 0.2)
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
    near = exact_search(
        metric.apply(own.rows.averaged()),
        metric.apply(own.validation.vectors),
        min(max(_KS), len(everyone)),
    )
    truth, counts = fitted.index(validation.labels), fitted.counts[0]
    weights = class_balanced_weights(truth, truth >= 0, len(counts))
    lookup = Lookup(near.scores, fitted.classes[near.rows], counts, truth, weights)
    base = heads.head(0).log_probabilities(fitted.metrics[0].apply(validation.vectors))
    branch = choose_beside(base, lookup)
    said = branch.log_probabilities(lookup.scores, lookup.classes, counts)
    heard = Heard(base, said, truth, weights)
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
        found: what the same N rows found in the memory.
        ks: numbers of neighbours to try; those beyond the neighbours found are as good as all.
        temperatures: temperatures to try.
        gammas: exponents to try.

    Returns:
        The candidate with the least loss; of equals, the first in the order given.
    """
    kept = every(len(base), base.shape[1])
    truth, weights = found.truth[kept], found.weights[kept]

    def loss(branch: RetrievalBranch) -> float:
        said = branch.log_probabilities(found.scores[kept], found.classes[kept], found.counts)
        heard = Heard(base[kept], said, truth, weights)
        answer = fused(fit_fusion([heard], found.counts), heard, found.counts)
        return -float(weights @ answer[np.arange(len(answer)), truth])

    most = found.scores.shape[1]
    tried = [k for place, k in enumerate(ks) if place == 0 or ks[place - 1] < most]
    candidates = [RetrievalBranch(k, t, g) for k, t, g in product(tried, temperatures, gammas)]
    return candidates[int(np.argmin([loss(candidate) for candidate in candidates]))]
