"""Groups of rows that are linked by showing nearly the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import unit_norm

_BLOCK = 1024


def near_duplicate_groups(
    features: npt.NDArray[np.float32], cosine: float
) -> npt.NDArray[np.int64]:
    """Group rows that are linked by near-duplicates.

    Args:
        features: (N, D), any norm.
        cosine: two rows are linked from this cosine on; above 1 links none.

    Returns:
        (N,) int64 group numbers from 0.

    >>> near_duplicate_groups(np.array([[1, 0], [0, 1], [2, 0.01]], np.float32), 0.95).tolist()
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
