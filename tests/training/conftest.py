from __future__ import annotations

import numpy as np
import pytest

from training.crossfit import LabelledFeatures


def clouds(counts: list[int], *, dim: int = 12, seed: int = 0, spread: float = 0.6):
    """Gaussian clouds around random centres, ``counts[c]`` rows for class ``c``; and new rows."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(len(counts), dim))
    labels = [f"c{index}" for index, count in enumerate(counts) for _ in range(count)]

    def draw(names: list[str]) -> np.ndarray:
        middle = centres[[int(name[1:]) for name in names]]
        return (middle + spread * generator.normal(size=middle.shape)).astype(np.float32)

    new = [f"c{index}" for index in range(len(counts)) for _ in range(20)]
    return draw(labels), labels, draw(new), new


@pytest.fixture(scope="session")
def long_tail() -> tuple[LabelledFeatures, np.ndarray, list[str]]:
    """Classes of 40, 15, 6, 2 and 1 rows; twenty new rows of each."""
    vectors, labels, new, truth = clouds([40, 15, 6, 2, 1])
    ids = [f"r{row}" for row in range(len(labels))]
    texts = [f"a {label}" for label in labels]
    return LabelledFeatures(vectors, labels, ids, texts), new, truth
