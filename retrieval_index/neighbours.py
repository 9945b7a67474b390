"""What a search gives: for every query, the rows found and their scores, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval_index.arrays import FloatArray, IntArray

NO_ROW = -1


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The K best rows of each of Q queries, best first.

    Where a query has fewer than K neighbours, the places left over hold score -inf and row -1.

    Attributes:
        scores: (Q, K) float32, inner products under the metric, in [-1, 1]; or -inf.
        rows: (Q, K) int64, row numbers in [0, N); or -1.
    """

    scores: FloatArray
    rows: IntArray

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape != self.rows.shape:
            raise ValueError(
                f"scores and rows must both be (Q, K), got {self.scores.shape}, {self.rows.shape}"
            )

    def __len__(self) -> int:
        """Give Q, the number of queries."""
        return len(self.rows)

    @classmethod
    def none(cls, queries: int, k: int) -> Neighbours:
        """Give the answer in which no query has found anything.

        >>> Neighbours.none(1, 2).rows
        array([[-1, -1]])
        """
        return cls(
            np.full((queries, k), -np.inf, dtype=np.float32),
            np.full((queries, k), NO_ROW, dtype=np.int64),
        )
