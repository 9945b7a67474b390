"""The metric of a classifier's memory: evened features, whitened with a strong shrinkage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import as_vectors
from retrieval_index.errors import CorruptMemory
from retrieval_index.metric import Array, Floating, Metric, check_linear_map
from retrieval_index.within_class import DoubleArray, WithinClassSpread

#: Smallest share of the covariance that is put on the identity.
SHRINKAGE = 0.3


class EvenedMetric(Metric):
    """The cosine of features that are evened by a power and then whitened within classes.

    Pooled activations are skewed: a few are large, most near zero. A power below one (Tukey's
    ladder; Yang et al., Free lunch for few-shot learning, ICLR 2021, section 3.1, with 1/2) brings
    them nearer to the Gaussian that whitening supposes. Signed features, such as joint embeddings,
    are already near enough and are left as they are.

    The within-class covariance is that of :class:`retrieval_index.WhitenedMetric`, but shrunk
    further: with fewer rows than dimensions the estimate of Ledoit and Wolf is best for the
    covariance as a matrix, not for telling unseen images apart.

    Attributes:
        power: the exponent, applied to magnitudes; signs are kept.
        mean: ``(D,)``; subtracted after the power.
        transform: ``(D, D)``; multiplied from the right.
    """

    name: ClassVar[str] = "evened"

    def __init__(self, power: float, mean: npt.ArrayLike, transform: npt.ArrayLike) -> None:
        self.power = float(power)
        self.mean: DoubleArray = np.asarray(mean, dtype=np.float64)
        self.transform: DoubleArray = np.asarray(transform, dtype=np.float64)

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        labels: Sequence[str | None] | None = None,
        *,
        power: float | None = None,
        shrinkage: float = SHRINKAGE,
    ) -> EvenedMetric:
        """Estimate power, mean and transform.

        Classes with one row, and rows without a label, are left out of the covariance; where no
        class has two rows, the spread of all rows stands in for it.

        Args:
            vectors: ``(N, D)``.
            labels: N class names, None where unknown.
            power: in (0, 1]; None takes 1/2 where no feature is negative, 1 elsewhere.
            shrinkage: in [0, 1], the least weight of the identity; Ledoit and Wolf may ask for
                more.

        Raises:
            ValueError: ``power`` or ``shrinkage`` is out of its range.
            MemoryFault: the number of labels is not N.
        """
        rows = as_vectors(vectors)
        if power is None:
            power = 0.5 if rows.size and rows.min() >= 0 else 1.0
        if not 0 < power <= 1:
            raise ValueError(f"power must lie in (0, 1], got {power}")
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"shrinkage must lie in [0, 1], got {shrinkage}")
        spread = WithinClassSpread.of(_powered(rows, power).astype(np.float32), labels)
        return cls(power, spread.mean, spread.whitening(shrinkage))

    @property
    def dim(self) -> int:
        """Give the D it was fitted to."""
        return len(self.mean)

    def project(self, block: Floating) -> Floating:
        """Even, centre and whiten."""
        mean, transform = (a.astype(block.dtype, copy=False) for a in (self.mean, self.transform))
        projected: Floating = (_powered(block, self.power) - mean) @ transform
        return projected

    def arrays(self) -> dict[str, Array]:
        """Give ``power`` (a scalar), ``mean`` and ``transform``."""
        return {
            "power": np.array(self.power, dtype=np.float64),
            "mean": self.mean,
            "transform": self.transform,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> EvenedMetric:
        """Check names, shapes, types and values."""
        if set(arrays) != {"power", "mean", "transform"}:
            raise CorruptMemory(
                f"an evened metric holds 'power', 'mean' and 'transform', found {sorted(arrays)}"
            )
        power = arrays["power"]
        if power.shape != () or power.dtype != np.float64 or not 0 < float(power) <= 1:
            raise CorruptMemory("the power is not one float64 in (0, 1]")
        check_linear_map(arrays["mean"], arrays["transform"])
        return cls(float(power), arrays["mean"], arrays["transform"])


def _powered(values: npt.NDArray[Any], power: float) -> npt.NDArray[Any]:
    if power == 1.0:
        return values
    evened: npt.NDArray[Any] = np.sign(values) * np.abs(values) ** power
    return evened
