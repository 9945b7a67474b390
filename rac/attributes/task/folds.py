"""Folds of known rows in which near-duplicates stay together.

A row that finds its own copy in the memory looks easier than it is; rows that are nearly the same
image therefore share a fold and never predict each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NEAR_DUPLICATE = 0.95
"""Cosine of projected (centred) features from which on two images count as nearly the same."""

FOLDS = 5

_LARGE_GROUP = 20


def assign_folds(
    codes: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    count: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Deal rows into folds, each value's groups in turn.

    Args:
        codes: (N,) value of each row.
        groups: (N,) group of each row; one group goes into one fold, unless it holds more than a
            twentieth of the rows: that many images alike are a kind, not copies, and a missing
            cell has as many of them around it. It is dealt row by row.
        count: folds, at least 2.
        seed: of the order.

    Returns:
        (N,) int64 fold numbers in [0, count).

    >>> assign_folds(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), 2, seed=0).reshape(2, 2).sum(1)
    array([1, 1])
    """
    sizes = np.bincount(groups)
    loose = sizes[groups] * _LARGE_GROUP > len(codes)
    groups = np.where(loose, groups.max(initial=0) + 1 + np.arange(len(codes)), groups)
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(codes[first][shuffled], kind="stable")]
    fold_of_group = np.empty(len(first), np.int64)
    fold_of_group[order] = np.arange(len(first)) % count
    return fold_of_group[member]
