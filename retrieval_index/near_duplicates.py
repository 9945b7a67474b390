"""Rows that show nearly the same as a query: they must not vouch for it."""

from __future__ import annotations

import numpy as np

from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.ranking import pair_products
from retrieval_index.stack import Vectors

_BLOCK_VALUES = 1 << 21


class NearDuplicates:
    """Tells which rows have at least a given cosine with a query.

    Args:
        vectors: (N, D), before any metric.
        queries: (Q, D), before any metric.
        threshold: cosine in [-1, 1] from which on two vectors count as near-duplicates. At 1.0
            those are the vectors that are equal up to their length, to float32 precision.

    >>> v = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    >>> NearDuplicates(v, v, 0.99).of(np.array([0]), np.array([[0, 1, 2]]))
    array([[ True,  True, False]])
    """

    def __init__(self, vectors: Vectors, queries: FloatArray, threshold: float) -> None:
        self.vectors = vectors
        self.queries = queries
        self.threshold = np.float32(threshold)

    def of(self, queries: IntArray, rows: IntArray) -> BoolArray:
        """Give (B, M) truth values for (B,) query numbers and (B, M) candidate rows."""
        asked = self.queries[queries]
        products = pair_products(self.vectors, rows, asked)
        own = _norms(asked)
        for start in range(0, len(rows), step := max(1, _BLOCK_VALUES // _values(rows, asked))):
            part = slice(start, start + step)
            products[part] /= _norms(self.vectors[rows[part]]) * own[part, np.newaxis]
        near: BoolArray = products.astype(np.float32) >= self.threshold
        return near


def _norms(vectors: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    wide = vectors.astype(np.float64)
    norms: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    norms = np.sqrt(np.einsum("...d,...d->...", wide, wide))
    norms[norms == 0.0] = 1.0
    return norms


def _values(rows: IntArray, asked: FloatArray) -> int:
    return max(1, int(rows.shape[1]) * int(asked.shape[1]))
