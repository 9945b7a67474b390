from __future__ import annotations

import numpy as np
import pytest

from eval.baselines import Examples, Prompts
from retrieval_index.arrays import unit_norm

CLASSES = 4


def clouds(
    sizes: list[int], *, seed: int = 0, spread: float = 0.5
) -> tuple[Examples, np.random.Generator]:
    """Rows about a centre for each class: (N, 6) trunk features above zero, (N, 5) embeddings."""
    centres = np.random.default_rng(99)
    trunk_centres = 3 * centres.random((len(sizes), 6))
    embedding_centres = centres.normal(size=(len(sizes), 5))
    draw = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    trunk = np.abs(trunk_centres[classes] + spread * draw.normal(size=(len(classes), 6)))
    embedding = embedding_centres[classes] + spread * draw.normal(size=(len(classes), 5))
    return Examples(trunk.astype(np.float32), unit_norm(embedding), classes), draw


@pytest.fixture
def long_tail() -> Examples:
    """Classes of 20, 7, 1 and no rows."""
    return clouds([20, 7, 1, 0])[0]


@pytest.fixture
def new_rows() -> Examples:
    """Fifteen other rows of each of the three classes that can be learnt."""
    return clouds([15, 15, 15, 0], seed=1)[0]


@pytest.fixture
def prompts() -> Prompts:
    """A direction for each of the four classes, not far from its centre."""
    rows, _ = clouds([1, 1, 1, 1], seed=2)
    return Prompts(rows.embedding, 10.0)
