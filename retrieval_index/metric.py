"""What makes two vectors near: a map fitted to the rows, after which the cosine is taken."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from retrieval_index.array_files import read_header
from retrieval_index.arrays import FloatArray, as_vectors
from retrieval_index.errors import CorruptMemory
from retrieval_index.files import open_regular, replace_file
from retrieval_index.within_class import DoubleArray, WithinClassSpread

Array: TypeAlias = npt.NDArray[Any]
Floating: TypeAlias = npt.NDArray[np.floating[Any]]

_BLOCK_ROWS = 4096
_MOST_ARRAYS = 8


class Metric(ABC):
    """A map of vectors; the score of two of them is the inner product of what it gives.

    A new metric writes ``project``, and ``arrays`` with ``from_arrays`` for what it has learnt.
    Blocks, float64 arithmetic, unit norm and files are dealt with here.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, vectors: npt.ArrayLike, labels: Sequence[str | None] | None = None) -> Metric:
        """Fit to (N, D) vectors and their N labels (None where unknown)."""

    @abstractmethod
    def project(self, block: Floating) -> Floating:
        """Map (B, D) to (B, D') in the block's own precision, row by row; not yet of norm 1."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Give what was learnt, as named arrays of numbers."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Metric:
        """Rebuild from ``arrays()``.

        Raises:
            CorruptMemory: arrays are missing, or do not fit each other.
        """

    def apply(self, vectors: npt.ArrayLike, *, single: bool = False) -> FloatArray:
        """Map vectors and scale each to norm 1.

        The arithmetic is float64, so that a row's result does not depend on the rows beside it.

        Args:
            vectors: (N, D) finite floating-point numbers.
            single: compute in float32, in half the time; the last digits of a row's result may
                then change with the rows beside it.

        Returns:
            (N, D') float32 of norm 1; a row that maps to zero stays zero, and scores 0 with all.

        Raises:
            BadVectors: see ``as_vectors``; or D is not the one the metric was fitted to.
        """
        source = as_vectors(vectors, dim=self.dim)
        precision: type[np.floating[Any]] = np.float32 if single else np.float64
        blocks = []
        for start in range(0, len(source), _BLOCK_ROWS):
            block = source[start : start + _BLOCK_ROWS].astype(precision, copy=False)
            mapped = self.project(block)
            norms = np.sqrt(np.square(mapped).sum(axis=1, keepdims=True))
            norms[norms == 0.0] = 1.0
            blocks.append((mapped / norms).astype(np.float32, copy=False))
        if not blocks:
            return self.project(source.astype(np.float64)).astype(np.float32)
        return np.concatenate(blocks)

    @property
    def dim(self) -> int | None:
        """Give the D it was fitted to, or None where any will do."""
        return None

    def save(self, path: str | Path) -> None:
        """Write what was learnt as an ``.npz`` of plain arrays (no pickle), whole or not at all."""
        with replace_file(path) as draft, open(draft, "wb") as handle:
            np.savez(handle, allow_pickle=False, **self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Metric:
        """Read what ``save`` wrote.

        Raises:
            CorruptMemory: the file is missing, damaged, or holds something else.
        """
        try:
            arrays = _stored_arrays(path)
        except Exception as fault:
            # What the reader of archives raises for damaged ones is no short list.
            raise CorruptMemory(f"{path}: not a readable metric file ({fault})") from fault
        try:
            return cls.from_arrays(arrays)
        except CorruptMemory as fault:
            raise CorruptMemory(f"{path}: {fault}") from fault


def _stored_arrays(path: str | Path) -> dict[str, Array]:
    """Read the arrays of an ``.npz`` that is not compressed: they are no longer than the file."""
    arrays: dict[str, Array] = {}
    with open_regular(path) as handle, zipfile.ZipFile(handle) as archive:
        members = archive.infolist()
        if len(members) > _MOST_ARRAYS:
            raise ValueError(f"it holds {len(members)} files")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed, which rac never does")
            with archive.open(member) as part:
                header = read_header(part, member.file_size)
                count = member.file_size - header.offset
                data = part.read(count)
            array = np.frombuffer(data, dtype=header.dtype).reshape(
                header.shape, order=header.order
            )
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def check_linear_map(mean: Array, transform: Array) -> None:
    """Check what a metric subtracts and multiplies with: (D,) and (D, D), as a fit gives them.

    Raises:
        CorruptMemory: they do not fit each other, are not finite float64, or vectors that differ
            would become alike.
    """
    if mean.ndim != 1 or transform.shape != (len(mean), len(mean)):
        raise CorruptMemory(
            f"mean {mean.shape} and transform {transform.shape} do not fit each other"
        )
    if not all(a.dtype == np.float64 and np.isfinite(a).all() for a in (mean, transform)):
        raise CorruptMemory("mean or transform is not made of finite float64 numbers")
    with np.errstate(all="ignore"):
        size = np.linalg.slogdet(transform)[1]
    if not np.isfinite(size):
        raise CorruptMemory("the transform is singular: vectors that differ would become alike")


class CosineMetric(Metric):
    """The plain cosine: vectors are only scaled to norm 1.

    >>> CosineMetric().apply(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    name: ClassVar[str] = "cosine"

    @classmethod
    def fit(
        cls, vectors: npt.ArrayLike, labels: Sequence[str | None] | None = None
    ) -> CosineMetric:
        """Learn nothing; there is nothing to learn."""
        return cls()

    def project(self, block: Floating) -> Floating:
        """Give the block back."""
        return block

    def arrays(self) -> dict[str, Array]:
        """Give no arrays."""
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> CosineMetric:
        """Expect no arrays."""
        if arrays:
            raise CorruptMemory(f"a cosine metric holds no arrays, found {sorted(arrays)}")
        return cls()


class WhitenedMetric(Metric):
    """The cosine of vectors whitened by the shrunk covariance within classes.

    Directions in which the images of one class differ among themselves count for less, those in
    which they agree count for more. With S the pooled within-class covariance, shrunk towards a
    multiple of the identity (Ledoit and Wolf, A well-conditioned estimator for large-dimensional
    covariance matrices, 2004) and S = U diag(l) U', a vector x becomes diag(l)^(-1/2) U' (x - m),
    where m is the mean of the rows.

    Attributes:
        mean: (D,) float64, what is subtracted first.
        transform: (D, D) float64, what the difference is multiplied by from the right.
    """

    name: ClassVar[str] = "whitened"

    def __init__(self, mean: npt.ArrayLike, transform: npt.ArrayLike) -> None:
        self.mean: DoubleArray = np.asarray(mean, dtype=np.float64)
        self.transform: DoubleArray = np.asarray(transform, dtype=np.float64)

    @classmethod
    def fit(
        cls, vectors: npt.ArrayLike, labels: Sequence[str | None] | None = None
    ) -> WhitenedMetric:
        """Estimate mean and covariance.

        A class with one row says nothing of the spread within classes and is left out of the
        covariance, as are rows without a label. Where no class has two rows, the spread of all
        rows about their mean is used in its place; where even that is zero (no rows, one row,
        equal rows), nothing is whitened and the metric is a centred cosine. Shrinkage makes fewer
        rows than dimensions safe.

        Args:
            vectors: (N, D), N >= 0.
            labels: N class names, None where unknown; None for no labels at all.

        Raises:
            BadVectors: see ``as_vectors``.
            MemoryFault: the number of labels is not N.
        """
        spread = WithinClassSpread.of(as_vectors(vectors), labels)
        return cls(spread.mean, spread.whitening())

    @property
    def dim(self) -> int:
        """Give the D it was fitted to."""
        return len(self.mean)

    def project(self, block: Floating) -> Floating:
        """Centre and whiten."""
        mean, transform = (a.astype(block.dtype, copy=False) for a in (self.mean, self.transform))
        projected: Floating = (block - mean) @ transform
        return projected

    def arrays(self) -> dict[str, Array]:
        """Give ``mean`` and ``transform``."""
        return {"mean": self.mean, "transform": self.transform}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> WhitenedMetric:
        """Check names, shapes, types and values."""
        if set(arrays) != {"mean", "transform"}:
            raise CorruptMemory(
                f"a whitened metric holds 'mean' and 'transform', found {sorted(arrays)}"
            )
        check_linear_map(arrays["mean"], arrays["transform"])
        return cls(arrays["mean"], arrays["transform"])
