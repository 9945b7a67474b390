"""What a runtime is, and how two of them are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from rac.images import Pixels

FloatArray = npt.NDArray[np.float32]


class Precision(StrEnum):
    """What the network computes in; its outputs are float32 always."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@dataclass(frozen=True)
class RuntimeChoice:
    """Which runtime in which precision.

    >>> str(RuntimeChoice("torch", Precision.bfloat16))
    'torch bfloat16'
    """

    runtime: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


class Runtime(ABC):
    """Runs one image tower; used by one thread at a time."""

    choice: RuntimeChoice

    @abstractmethod
    def __call__(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        """Give trunk features (N, T) and unnormalised embeddings (N, D) of (N, 3, H, W) bytes."""


def least_cosine(found: FloatArray, reference: FloatArray) -> float:
    """Give the smallest cosine between matching rows of two (N, D); -1 where one is not finite.

    >>> least_cosine(np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32)).__round__(3)
    0.707
    """
    if not np.isfinite(found).all():
        return -1.0
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (found * reference).sum(axis=1) / np.maximum(lengths, 1e-30)
    return float(cosines.min())
