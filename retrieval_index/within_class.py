"""How the rows of a class differ from their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray


def within_class_residuals(
    vectors: FloatArray, labels: Sequence[str | None]
) -> npt.NDArray[np.float64]:
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
    rows: npt.NDArray[np.float64] = vectors[kept].astype(np.float64)
    sums = np.zeros((len(counts), dim))
    np.add.at(sums, classes, rows)
    rows -= (sums / counts[:, np.newaxis])[classes]
    residuals: npt.NDArray[np.float64] = rows[counts[classes] > 1]
    return residuals
