"""How the rows of a class differ from their mean, and the map that makes that alike everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray
from retrieval_index.errors import MemoryFault

DoubleArray = npt.NDArray[np.float64]


def class_means(
    vectors: npt.NDArray[np.floating], classes: npt.NDArray[np.int64], count: int
) -> DoubleArray:
    """Give the (C, D) float64 mean of each class's rows; zeros for a class without any.

    Args:
        vectors: (N, D).
        classes: (N,) in [0, C).
        count: C.

    >>> class_means(np.array([[1.0], [3.0], [5.0]]), np.array([2, 2, 0]), 3).tolist()
    [[5.0], [0.0], [2.0]]
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    every = np.arange(len(classes))
    member = csr_array((np.ones(len(classes)), (classes, every)), shape=(count, len(classes)))
    rows = np.bincount(classes, minlength=count)[:, np.newaxis]
    means: DoubleArray = (member @ vectors.astype(np.float64, copy=False)) / np.maximum(rows, 1)
    return means


def within_class_residuals(vectors: FloatArray, labels: Sequence[str | None]) -> DoubleArray:
    """Give each row less the mean of its class, for the classes that have at least two rows.

    Args:
        vectors: (N, D).
        labels: N class names; None where unknown, and such a row is left out.

    Returns:
        (M, D) float64, M <= N, in the order of the rows; (0, D) where every class is a singleton.

    >>> v = np.array([[0.0], [2.0], [9.0], [5.0]], dtype=np.float32)
    >>> within_class_residuals(v, ["a", "a", "b", None])
    array([[-1.],
           [ 1.]])
    """
    kept = np.array([label is not None for label in labels], dtype=np.bool_)
    known = [label for label in labels if label is not None]
    dim = vectors.shape[1]
    if not known:
        return np.empty((0, dim))
    _, classes, counts = np.unique(known, return_inverse=True, return_counts=True)
    rows: DoubleArray = vectors[kept].astype(np.float64)
    rows -= class_means(rows, classes, len(counts))[classes]
    residuals: DoubleArray = rows[counts[classes] > 1]
    return residuals


@dataclass(frozen=True, eq=False)
class WithinClassSpread:
    """The pooled within-class covariance of some rows, by its axes.

    Attributes:
        mean: (D,) of all rows.
        directions: (D, D) the axes, as columns.
        variances: (D,) along each axis, at least 0.
        shrinkage: in [0, 1], the weight of the identity that Ledoit and Wolf estimate (A
            well-conditioned estimator for large-dimensional covariance matrices, 2004).
    """

    mean: DoubleArray
    directions: DoubleArray
    variances: DoubleArray
    shrinkage: float

    @classmethod
    def of(cls, vectors: FloatArray, labels: Sequence[str | None] | None) -> WithinClassSpread:
        """Estimate it.

        A class with one row says nothing of the spread within classes and is left out, as are rows
        without a label. Where no class has two rows that differ, the spread of all rows about their
        mean stands in; where even that is zero (no rows, one row, equal rows), it is 1 everywhere.

        Args:
            vectors: (N, D), N >= 0.
            labels: N class names, None where unknown; None for no labels at all.

        Raises:
            MemoryFault: the number of labels is not N.
        """
        names = [None] * len(vectors) if labels is None else labels
        if len(names) != len(vectors):
            raise MemoryFault(f"{len(vectors)} vectors but {len(names)} labels")
        dim = vectors.shape[1]
        mean = vectors.mean(axis=0, dtype=np.float64) if len(vectors) else np.zeros(dim)
        residuals = within_class_residuals(vectors, names)
        if not residuals.any():
            residuals = vectors - mean
        if not residuals.any():
            return cls(mean, np.eye(dim), np.ones(dim), 1.0)
        from sklearn.covariance import ledoit_wolf_shrinkage

        variances, directions = np.linalg.eigh(residuals.T @ residuals / len(residuals))
        weight = float(ledoit_wolf_shrinkage(residuals, assume_centered=True))
        return cls(mean, directions, np.maximum(variances, 0.0), weight)

    def widths(self, shrinkage: float = 0.0) -> DoubleArray:
        """Give (D,) the standard deviation along each axis, above 0, of the shrunk covariance.

        Args:
            shrinkage: in [0, 1], the least weight of the identity; its own may ask for more.
        """
        weight = max(shrinkage, self.shrinkage)
        shrunk = (1 - weight) * self.variances + weight * self.variances.mean()
        # With no shrinkage at all a direction may have no spread.
        widths: DoubleArray = np.sqrt(np.maximum(shrunk, np.finfo(np.float32).eps * shrunk.max()))
        return widths

    def whitening(self, shrinkage: float = 0.0) -> DoubleArray:
        """Give the (D, D) map, applied from the right, after which classes spread alike everywhere.

        Args:
            shrinkage: see ``widths``.
        """
        transform: DoubleArray = self.directions / self.widths(shrinkage)
        return transform
