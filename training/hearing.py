"""What the text branch says of rows that it had not seen, and the branch that says it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rac.branches.base import Floats, Integers
from rac.branches.retrieval import Lookup, RetrievalBranch
from rac.branches.text import TextBranch, Told, choose_text, prototypes, snippets
from training.crossfit import CrossFit
from training.texts import every


@dataclass(frozen=True, eq=False)
class Found:
    """What held-out rows found among training rows.

    Attributes:
        head: that had not seen them: ``f + 1`` for the rows of fold f, 0 for validation rows.
        rows: ``(N, K)`` training rows, nearest first.
        lookup: the same as similarities and classes.
    """

    head: int
    rows: Integers
    lookup: Lookup


@dataclass(frozen=True, eq=False)
class HeardTexts:
    """A text branch and what it says of held-out rows.

    Attributes:
        branch: with the prototypes of all training rows.
        captions: ``(N, E)`` of the training rows; None where no row has one.
        said: ``(N, C)`` log-probabilities of the training rows, each by the prototypes and rows
            outside its fold; behind them those of the validation rows, where there are any.
    """

    branch: TextBranch
    captions: Floats | None
    said: tuple[Floats, ...]


def hear_texts(
    fitted: CrossFit, folds: Sequence[Found], checked: Found | None, votes: RetrievalBranch
) -> HeardTexts | None:
    """Choose the text branch on held-out rows; it hears the neighbours that the votes hear.

    Args:
        fitted: the training rows.
        folds: what the rows of each fold found, in the folds' order.
        checked: what the validation rows found.
        votes: give k and gamma.

    Returns:
        None where the rows' texts were not embedded.
    """
    vectors = fitted.rows.text_vectors
    if vectors is None:
        return None
    names = np.stack([vectors.names[name] for name in fitted.names])
    own = snippets(names, vectors.captions, fitted.classes)

    def of_class(head: int) -> Floats:
        member = fitted.member[head]
        return prototypes(names, own[member], fitted.classes[member])

    start = TextBranch(names, of_class(0), votes.k, votes.temperature, votes.gamma, scale=10.0)
    told = [Told(one.lookup, one.rows, of_class(one.head), own) for one in folds]
    sets = [told]
    if checked is not None:
        sets.append([Told(checked.lookup, checked.rows, start.prototypes, own)])
    asked = [one for each in sets for one in _alike([_fewer(one) for one in each])]
    branch = choose_text(start, asked)
    said = np.empty((len(own), len(names)), dtype=np.float32)
    for one, found in zip(told, folds, strict=True):
        said[fitted.folds == found.head - 1] = one.heard_by(branch)
    return HeardTexts(
        branch,
        vectors.captions,
        (said, *(one.heard_by(branch) for each in sets[1:] for one in each)),
    )


def _fewer(told: Told) -> Told:
    """Leave queries out where they are too many to try every setting on."""
    found = told.lookup
    kept = every(len(found.truth), len(found.counts))
    fewer = replace(
        found,
        scores=found.scores[kept],
        classes=found.classes[kept],
        truth=found.truth[kept],
        weights=found.weights[kept],
    )
    return replace(told, lookup=fewer, rows=told.rows[kept])


def _alike(told: Sequence[Told]) -> list[Told]:
    """Scale the weights so that a set has one say, however many rows and folds it holds."""
    total = sum(float(one.lookup.weights.sum()) for one in told) or 1.0
    return [
        replace(one, lookup=replace(one.lookup, weights=one.lookup.weights / total)) for one in told
    ]
