"""Rows that show nearly the same as a query: they must not vouch for it."""

from __future__ import annotations

import numpy as np

from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.ranking import pair_products

_BLOCK_ROWS = 16_384


class NearDuplicates:
    """Tells which rows are the query itself, or have at least a given cosine with it.

    Args:
        vectors: (N, D), before any metric; the queries are rows of it.
        threshold: cosine in [-1, 1] from which on two rows count as near-duplicates. At 1.0
            those are the rows that are equal up to their length, to float32 precision.

    >>> v = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    >>> NearDuplicates(v, 0.99).of(np.array([0]), np.array([[0, 1, 2]]))
    array([[ True,  True, False]])
    """

    def __init__(self, vectors: FloatArray, threshold: float) -> None:
        self.vectors = vectors
        self.threshold = np.float32(threshold)
        squares = [
            np.square(vectors[start : start + _BLOCK_ROWS], dtype=np.float64).sum(axis=1)
            for start in range(0, len(vectors), _BLOCK_ROWS)
        ]
        norms = np.sqrt(np.concatenate(squares)) if squares else np.empty(0)
        norms[norms == 0.0] = 1.0
        self._norms = norms

    def of(self, queries: IntArray, rows: IntArray) -> BoolArray:
        """Give (B, M) truth values for (B,) query rows and (B, M) candidate rows."""
        products = pair_products(self.vectors, rows, self.vectors[queries])
        cosines = products / (self._norms[rows] * self._norms[queries][:, np.newaxis])
        near: BoolArray = cosines.astype(np.float32) >= self.threshold
        near |= rows == queries[:, np.newaxis]
        return near
