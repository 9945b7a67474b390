"""The directions in which the job's images differ: a small basis that all attributes share.

A metric is fitted for each attribute and each fold, at a cost that grows with the cube of the
dimensions. The leading principal directions of the job's own images, found once and without any
label, keep what tells them apart (160 of 1,280 cost cross-fitted cells at most half a point of
accuracy) and make fifty attributes cost little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rac.encoders.base import FloatArray
from retrieval_index.arrays import unit_norm

MAX_DIMENSIONS = 160

_BLOCK = 2048


@dataclass(frozen=True)
class Projection:
    """A linear map of unit-norm trunk features, (N, T) to (N, P).

    Attributes:
        mean: (T,) float32.
        basis: (T, P) float32, orthonormal columns.
    """

    mean: FloatArray
    basis: FloatArray

    @classmethod
    def fit(cls, trunk: npt.NDArray[np.float32], dimensions: int = MAX_DIMENSIONS) -> Projection:
        """Find the leading directions of (N, T) features; N may be 0 or 1.

        Args:
            trunk: (N, T) float32, not normalised.
            dimensions: the most that P may be.
        """
        unit = unit_norm(np.asarray(trunk, np.float32))
        wanted = max(1, min(dimensions, unit.shape[1], len(unit)))
        if not len(unit):
            return cls(np.zeros(unit.shape[1], np.float32), np.eye(unit.shape[1], 1, dtype="f4"))
        mean = unit.mean(axis=0, dtype=np.float64)
        scatter = -len(unit) * np.outer(mean, mean)
        for start in range(0, len(unit), _BLOCK):
            part = unit[start : start + _BLOCK]
            scatter += part.T @ part
        size = len(mean)
        # One thread: on a busy machine, threads that wait for each other took 30 times as long.
        with threadpool_limits(limits=1):
            _, directions = eigh(scatter, subset_by_index=(size - wanted, size - 1))
        basis = directions[:, ::-1]
        # The sign of an eigenvector is arbitrary; fixing it keeps two runs alike.
        basis = basis * np.where(basis[np.abs(basis).argmax(axis=0), range(wanted)] < 0, -1, 1)
        return cls(mean.astype(np.float32), np.ascontiguousarray(basis, np.float32))

    def apply(self, trunk: FloatArray) -> FloatArray:
        """Map (N, T) trunk features to (N, P)."""
        trunk = np.asarray(trunk, np.float32)
        # As unit_norm(trunk) - mean, times the basis, without a copy of the wide array.
        lengths = np.sqrt(np.einsum("nt,nt->n", trunk, trunk))[:, None]
        mapped = np.divide(
            trunk @ self.basis,
            lengths,
            where=lengths > 0,
            out=np.zeros((len(trunk), self.basis.shape[1]), np.float32),
        )
        return np.asarray(mapped - self.mean @ self.basis, np.float32)
