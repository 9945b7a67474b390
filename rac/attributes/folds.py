"""Folds of known rows in which near-duplicates stay together.

A row that finds its own copy in the memory looks easier than it is; rows that are nearly the same
image therefore share a fold and never judge each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rac.encoders.base import FloatArray
from retrieval_index.arrays import unit_norm

NEAR_DUPLICATE = 0.95
"""Cosine of projected (centred) features from which on two images count as nearly the same."""

_BLOCK = 1024
_LARGE_GROUP = 20


def near_duplicate_groups(
    features: FloatArray, cosine: float = NEAR_DUPLICATE
) -> npt.NDArray[np.int64]:
    """Group rows that are linked by near-duplicates.

    Args:
        features: (N, D), any norm.
        cosine: two rows are linked from this cosine on; above 1 links none.

    Returns:
        (N,) int64 group numbers from 0.

    >>> near_duplicate_groups(np.array([[1, 0], [0, 1], [2, 0.01]], np.float32)).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    unit = unit_norm(features)
    lefts, rights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(unit), _BLOCK):
        left, right = np.nonzero(unit[start : start + _BLOCK] @ unit[start:].T >= cosine)
        lefts.append(left + start)
        rights.append(right + start)
    left, right = np.concatenate(lefts), np.concatenate(rights)
    links = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(len(unit), len(unit)))
    _, groups = connected_components(links, directed=False)
    return np.asarray(groups, np.int64)


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
