from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_index import Memory, make_rows

MakeMemory = Callable[..., Memory]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def make_memory(tmp_path: Path) -> MakeMemory:
    """A memory of six rows in the plane, in a folder: ids 'a'…'f', two classes of three."""

    def make(folder: Path | None = None, metric: str = "cosine") -> Memory:
        angles = np.deg2rad([0, 10, 20, 90, 100, 110])
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        rows = make_rows(
            list("abcdef"),
            labels=["x"] * 3 + ["y"] * 3,
            texts=[f"text of {name}" for name in "abcdef"],
        )
        return Memory.create(
            folder or tmp_path / "memory",
            vectors,
            rows,
            encoder="e" * 8,
            encoder_name="toy",
            space="embedding",
            metric=metric,
        )

    return make
