"""The array types that the metrics speak in, and the checks at their doors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eval.errors import ReportFault

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def as_indices(values: npt.ArrayLike, name: str) -> Ints:
    """Give class indices (N,) as int64, refusing anything that is not made of whole numbers.

    A float array is refused even where its values are whole: class 2^24 + 1 and class 2^24 are one
    and the same float32, so a label that passed through floats cannot be trusted.

    Raises:
        ReportFault: the array is not one-dimensional or not of an integer type.

    >>> as_indices([0, 2, 1], "labels")
    array([0, 2, 1])
    """
    array = np.asarray(values)
    if array.size == 0 and array.ndim <= 1:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ReportFault(
            f"{name} must be a one-dimensional array of integers, "
            f"not {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64, copy=False)


def as_flags(values: npt.ArrayLike, name: str) -> Bools:
    """Give a one-dimensional boolean array, refusing any other type.

    Raises:
        ReportFault: the array is not one-dimensional or not boolean.
    """
    array = np.asarray(values)
    if array.size == 0 and array.ndim <= 1:
        return np.zeros(0, dtype=np.bool_)
    if array.ndim != 1 or array.dtype != np.bool_:
        raise ReportFault(f"{name} must be a one-dimensional array of booleans")
    return array


def as_probabilities(values: npt.ArrayLike, name: str) -> Floats:
    """Give a one-dimensional float64 array of values in [0, 1], refusing NaN and any other value.

    Values up to 1e-6 outside, float noise of a softmax, are clipped.

    Raises:
        ReportFault: a value is NaN or outside [0, 1]; its position is named.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ReportFault(f"{name} must be one-dimensional, not of shape {array.shape}")
    bad = np.flatnonzero(~((array >= -1e-6) & (array <= 1 + 1e-6)))
    if bad.size:
        row = int(bad[0])
        raise ReportFault(f"{name}, row {row}: {array[row]} is not a probability between 0 and 1")
    return np.clip(array, 0.0, 1.0)


def require_same_length(**arrays: npt.NDArray[np.generic]) -> None:
    """Refuse arrays that do not have one length, naming each.

    Raises:
        ReportFault: the lengths differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ReportFault(f"arrays of different lengths: {said}")
