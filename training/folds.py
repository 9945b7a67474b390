"""Folds for cross-fitting: each class spread evenly, near-duplicates kept together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrieval_index.duplicate_groups import near_duplicate_groups

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

#: Raw cosine from which on two rows of a class count as the same picture taken again.
NEAR_DUPLICATE = 0.97
#: A cosine that no two rows reach.
_NOTHING_IS_DOUBLE = 2.0
#: Share of rows without a findable companion from which near-duplicates are no longer heeded.
_MOST_UNFINDABLE = 0.5


def assign_folds(
    vectors: Floats, classes: Integers, folds: int, *, near_duplicate: float, seed: int
) -> Integers:
    """Assign each row to a fold.

    Rows of a class that show nearly the same (linked by a raw cosine of at least
    ``near_duplicate``, also through others) share a fold, so that a held-out row never has its
    own double among the rows that judge it. A class whose rows are all doubles of each other
    is in one fold whole, and so is a class with one row: nothing that is fitted outside that fold
    knows the class.

    Args:
        vectors: ``(N, D)`` raw features.
        classes: ``(N,)`` class indices >= 0.
        folds: how many, at least 2.
        near_duplicate: cosine in [-1, 1]; above 1 no rows are doubles.
        seed: of the order in which rows are dealt.

    Returns:
        ``(N,)`` fold of each row, in ``[0, folds)``.

    Raises:
        ValueError: fewer than two folds.

    >>> import numpy as np
    >>> x = np.array([[1, 0], [1, 0.01], [0, 1], [1, 1]], dtype=np.float32)
    >>> f = assign_folds(x, np.zeros(4, np.int64), 2, near_duplicate=0.99, seed=0)
    >>> bool(f[0] == f[1])
    True
    """
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least two folds, got {folds}")
    generator = np.random.default_rng(seed)
    assigned = np.zeros(len(vectors), dtype=np.int64)
    totals = np.zeros(folds)
    for index in np.unique(classes):
        rows = np.flatnonzero(classes == index)
        clusters = near_duplicate_groups(vectors[rows], near_duplicate)
        filled = np.zeros(folds)
        for cluster in generator.permutation(clusters.max() + 1):
            members = rows[clusters == cluster]
            # The fold with the fewest rows of this class; of equals, the emptiest of all.
            fold = int(np.lexsort((totals, filled))[0])
            assigned[members] = fold
            filled[fold] += len(members)
            totals[fold] += len(members)
    return assigned


def findable_folds(
    vectors: Floats, classes: Integers, folds: int, *, near_duplicate: float, seed: int
) -> Integers:
    """Assign folds as :func:`assign_folds`, unless most rows would then have no other to be found.

    That is so where to the encoder the images of a class are all alike; the threshold says nothing
    there, and no rows are taken for doubles.
    """
    fold = assign_folds(vectors, classes, folds, near_duplicate=near_duplicate, seed=seed)
    if _mostly_unfindable(classes, fold):
        return assign_folds(vectors, classes, folds, near_duplicate=_NOTHING_IS_DOUBLE, seed=seed)
    return fold


def hold_out(
    vectors: Floats, labels: Sequence[str], share: float, *, seed: int
) -> npt.NDArray[np.bool_]:
    """Hold a share of each class's rows out, near-duplicates together, but never a whole class.

    Args:
        vectors: ``(N, D)`` raw features.
        labels: N class names.
        share: in (0, 1); taken as one part of so many whole ones, at least two.
        seed: see :func:`assign_folds`.

    Returns:
        ``(N,)`` which rows are held out.

    >>> import numpy as np
    >>> hold_out(np.eye(8, dtype=np.float32), list("aaaabbbc"), 0.25, seed=0).sum()
    np.int64(1)
    """
    names = {name: number for number, name in enumerate(sorted(set(labels)))}
    classes = np.array([names[label] for label in labels], dtype=np.int64)
    folds = max(round(1 / share), 2)
    held = np.zeros(len(labels), dtype=np.bool_)
    # Where to this encoder all images of a class are alike, the threshold says nothing.
    for near_duplicate in (NEAR_DUPLICATE, _NOTHING_IS_DOUBLE):
        fold = assign_folds(vectors, classes, folds, near_duplicate=near_duplicate, seed=seed)
        left = np.bincount(classes[fold != folds - 1], minlength=len(names))
        held = (fold == folds - 1) & (left[classes] > 0)
        if held.sum() >= len(labels) / folds / 2:
            break
    return held


def _mostly_unfindable(classes: Integers, folds: Integers) -> bool:
    """Tell whether most rows of classes with several rows have their whole class in one fold."""
    inside = np.zeros((classes.max() + 1, folds.max() + 1), dtype=np.int64)
    np.add.at(inside, (classes, folds), 1)
    several = inside.sum(axis=1)[classes] > 1
    alone = (inside > 0).sum(axis=1)[classes] == 1
    return bool(several.any() and alone[several].mean() > _MOST_UNFINDABLE)
