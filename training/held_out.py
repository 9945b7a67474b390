"""What both branches say of rows that they had not seen, and the votes that say it best."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rac.branches.base import Floats, Integers
from rac.branches.retrieval import Lookup, RetrievalBranch, choose_retrieval
from rac.fusion import Fusion, Heard
from retrieval_index import exact_search
from training.crossfit import CrossFit, LabelledFeatures
from training.data import FeatureData
from training.hearing import Found, HeardTexts, hear_texts
from training.module import CosineHeads
from training.texts import text_pays

#: Neighbours that are looked up for choosing k.
MOST_NEIGHBOURS = 30


@dataclass(frozen=True, eq=False)
class Choice:
    """Votes, and what they and the base branch say of held-out rows.

    Attributes:
        branch: the votes.
        crossfit: the training rows, each by what is fitted without its fold; None where such rows
            are not asked.
        validation: the validation rows; None without any.
        texts: of the text branch; None where it is off.
        fusion: of both; None where it is still to be fitted to what they say.
    """

    branch: RetrievalBranch
    crossfit: Heard | None
    validation: Heard | None
    texts: HeardTexts | None = None
    fusion: Fusion | None = None

    @property
    def heard(self) -> dict[str, Heard]:
        """Give the sets of rows that there are, by what figures of them are called."""
        sets = {"crossfit": self.crossfit, "val": self.validation}
        return {name: one for name, one in sets.items() if one is not None}


def choose_on_held_out(heads: CosineHeads, data: FeatureData) -> Choice:
    """Choose votes, and the text branch where it pays, for a memory of the base branch's encoder.

    Training rows are heard by the head, the metric and the memory without their fold, validation
    rows by those of all training rows. Both sets are weighed class-balanced and have the same say.

    Args:
        heads: trained on ``data``.
        data: set up for training.
    """
    fitted, validation = data.fitted, data.validation
    folds = [_look_up_fold(fitted, fold) for fold in range(fitted.heads - 1)]
    checked = None if validation is None else _look_up_validation(fitted, validation)
    sets = [folds] if checked is None else [folds, [checked]]
    chosen = [lookup for one in sets for lookup in _normalised([found.lookup for found in one])]
    branch = (
        choose_retrieval(chosen)
        if any(lookup.weights.sum() > 0 for lookup in chosen)
        else RetrievalBranch(k=8, temperature=0.05, gamma=0.7)
    )
    heard = [_hear_folds(heads, fitted, folds, branch)]
    if validation is not None and checked is not None:
        heard.append(_hear_validation(heads, fitted, validation, checked.lookup, branch))
    texts = None if data.text_branch == "off" else hear_texts(fitted, folds, checked, branch)
    if texts is not None:
        told = [replace(one, text=said) for one, said in zip(heard, texts.said, strict=True)]
        if data.text_branch == "on" or text_pays(told, fitted.folds, fitted.counts[0]):
            heard = told
        else:
            texts = None
    return Choice(branch, heard[0], heard[1] if len(heard) > 1 else None, texts)


def class_balanced_weights(
    classes: Integers, usable: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.float64]:
    """Give ``(N,)`` weights: the usable rows of each class share one; all others have none.

    >>> import numpy as np
    >>> class_balanced_weights(np.array([0, 0, 1]), np.array([True, True, False]), 2)
    array([0.5, 0.5, 0. ])
    """
    amounts = np.bincount(classes[usable], minlength=count)
    return np.where(usable, 1.0 / np.maximum(amounts, 1)[classes], 0.0)


def _look_up_fold(fitted: CrossFit, fold: int) -> Found:
    held = np.flatnonzero(fitted.folds == fold)
    kept = np.flatnonzero(fitted.member[fold + 1])
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))[held]
    return _search(fitted, fold + 1, kept, fitted.queries[held], fitted.classes[held], weights)


def _look_up_validation(fitted: CrossFit, validation: LabelledFeatures) -> Found:
    truth = fitted.index(validation.labels)
    queries = fitted.metrics[0].apply(validation.vectors)
    weights = class_balanced_weights(truth, truth >= 0, len(fitted.names))
    return _search(fitted, 0, np.arange(len(fitted.classes)), queries, truth, weights)


def _search(
    fitted: CrossFit,
    head: int,
    kept: Integers,
    queries: Floats,
    truth: Integers,
    weights: npt.NDArray[np.float64],
) -> Found:
    """Look queries up among the training rows ``kept``, in the metric of a head."""
    scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    if len(kept) and len(queries):
        space = fitted.mapped[head][kept]
        near = exact_search(space, queries, min(MOST_NEIGHBOURS, len(kept)))
        scores, rows = near.scores, kept[near.rows]
    lookup = Lookup(scores, fitted.classes[rows], fitted.counts[head], truth, weights)
    return Found(head, rows, lookup)


def _normalised(lookups: list[Lookup]) -> list[Lookup]:
    """Scale the weights so that a set has one say, however many rows and folds it holds."""
    total = sum(float(found.weights.sum()) for found in lookups) or 1.0
    return [
        Lookup(found.scores, found.classes, found.counts, found.truth, found.weights / total)
        for found in lookups
    ]


def _hear_folds(
    heads: CosineHeads, fitted: CrossFit, folds: list[Found], branch: RetrievalBranch
) -> Heard:
    shape = (len(fitted.classes), len(fitted.names))
    base, retrieval = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for found in folds:
        held, lookup = fitted.folds == found.head - 1, found.lookup
        base[held] = heads.head(found.head).log_probabilities(fitted.queries[held])
        retrieval[held] = branch.log_probabilities(lookup.scores, lookup.classes, lookup.counts)
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))
    return Heard(base, retrieval, fitted.classes, weights)


def _hear_validation(
    heads: CosineHeads,
    fitted: CrossFit,
    validation: LabelledFeatures,
    found: Lookup,
    branch: RetrievalBranch,
) -> Heard:
    queries = fitted.metrics[0].apply(validation.vectors)
    return Heard(
        heads.head(0).log_probabilities(queries),
        branch.log_probabilities(found.scores, found.classes, found.counts),
        found.truth,
        found.weights,
    )
