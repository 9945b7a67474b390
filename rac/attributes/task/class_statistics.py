"""Sums over known rows that a metric and means are made of; those of folds can be taken off.

Letters of shapes: M known rows, P dimensions of the projected trunk features, S answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

_SHRINKAGE = 0.2
_LEAST_SCALE = 1e-4


@dataclass(frozen=True)
class ClassStatistics:
    """What is summed up of M rows.

    Attributes:
        counts: (S,) rows of each answer.
        sums: (S, P) of each answer's features.
        scatter: (P, P) sum of x x' over all rows.
    """

    counts: IntArray
    sums: FloatArray
    scatter: FloatArray

    @classmethod
    def of(cls, features: FloatArray, answers: IntArray, answer_count: int) -> ClassStatistics:
        """Sum up (M, P) features of (M,) answers; ``answer_count`` is S."""
        places = (np.ones(len(answers), np.float32), answers, np.arange(len(answers) + 1))
        # A sparse product; np.add.at takes ten times as long.
        member = csr_array(places, shape=(len(answers), answer_count))
        return cls(
            counts=np.bincount(answers, minlength=answer_count),
            sums=np.asarray(member.T @ features, np.float32),
            scatter=features.T @ features,
        )

    def plus(self, other: ClassStatistics) -> ClassStatistics:
        """Add what was summed up of other rows."""
        return ClassStatistics(
            self.counts + other.counts, self.sums + other.sums, self.scatter + other.scatter
        )

    def without(self, other: ClassStatistics) -> ClassStatistics:
        """Take rows that were summed up off again."""
        return ClassStatistics(
            self.counts - other.counts, self.sums - other.sums, self.scatter - other.scatter
        )

    @property
    def centre(self) -> FloatArray:
        """(P,) mean of all rows; M is at least 1."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum(), np.float32)

    @property
    def means(self) -> FloatArray:
        """(S, P) mean of each answer; zeros for an answer without rows."""
        return np.asarray(self.sums / np.maximum(self.counts, 1)[:, None], np.float32)

    def whitening(self) -> FloatArray:
        """Give the (P, P) map, from the right, after which rows vary alike within answers.

        The covariance within answers is shrunk towards a multiple of the identity. With one row an
        answer nothing varies within; how all rows vary then stands in.
        """
        if self.counts.max() > 1:
            within = self.scatter - self.sums.T @ self.means
        else:
            within = self.scatter - self.counts.sum() * np.outer(self.centre, self.centre)
        size = len(within)
        # Above what rounding leaves of no variance at all.
        least = _LEAST_SCALE * float(np.trace(self.scatter)) / size
        scale = max(float(np.trace(within)) / size, least) or 1.0
        within *= 1 - _SHRINKAGE
        within[np.diag_indices(size)] += _SHRINKAGE * scale
        factor, _ = lapack.spotrf(within, lower=True)
        inverse, _ = lapack.strtri(factor, lower=True)
        return np.ascontiguousarray(inverse.T, np.float32)
