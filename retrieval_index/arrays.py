"""The array types of this layer, and the check that every vector passes on its way in."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from retrieval_index.errors import BadVectors

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_CHECK_ROWS = 16_384


def as_vectors(
    values: npt.ArrayLike, *, what: str = "vectors", dim: int | None = None
) -> FloatArray:
    """Check an array of vectors and give it as contiguous float32, copied only where it must be.

    Args:
        values: (N, D) real numbers, N >= 0 and D >= 1; float16, float32 or float64.
        what: how an error calls the array.
        dim: the D that is needed; None takes any.

    Returns:
        (N, D) float32.

    Raises:
        BadVectors: not two-dimensional, no columns, not floating point, another D than ``dim``,
            or a value that is NaN or infinite (the first such row is named).

    >>> as_vectors(np.zeros((2, 3))).dtype
    dtype('float32')
    """
    array: npt.NDArray[Any] = np.asanyarray(values)
    if array.ndim != 2 or array.shape[1] == 0:
        raise BadVectors(
            f"{what}: expected an array of shape (rows, dimension), got shape {array.shape}"
        )
    if array.dtype.kind != "f":
        raise BadVectors(f"{what}: expected floating-point numbers, got {array.dtype}")
    if dim is not None and array.shape[1] != dim:
        raise BadVectors(
            f"{what}: have dimension {array.shape[1]}, the memory has {dim}; "
            "they come from another encoder or another space of it than the memory's, "
            "which rac index info names"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, caught below
        floats: FloatArray = np.ascontiguousarray(array, dtype=np.float32)
    row = first_not_finite(floats)
    if row is not None:
        raise BadVectors(f"{what}: row {row} holds a value that is not a finite number")
    return floats


def first_not_finite(vectors: FloatArray) -> int | None:
    """Give the number of the first of (N, D) vectors that holds a NaN or an infinity, or None."""
    for start in range(0, len(vectors), _CHECK_ROWS):
        finite = np.isfinite(vectors[start : start + _CHECK_ROWS]).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
    return None


def unit_norm(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Scale each of (N, D) vectors to norm 1, in float32; a zero stays zero.

    >>> unit_norm(np.array([[3.0, 4.0]], dtype=np.float32))
    array([[0.6, 0.8]], dtype=float32)
    """
    norms = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))
    norms[norms == 0.0] = 1.0
    scaled: FloatArray = (vectors / norms).astype(np.float32)
    return scaled
