"""The evened metric: its power, its shrinkage, and its life on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval_index import CorruptMemory, EvenedMetric, Memory, MemoryFault, make_rows


def test_the_power_goes_by_the_signs() -> None:
    positive = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    assert EvenedMetric.fit(positive, ["a", "b"] * 10).power == 0.5
    assert EvenedMetric.fit(positive - 0.5, ["a", "b"] * 10).power == 1.0


def test_full_shrinkage_is_the_centred_cosine() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    metric = EvenedMetric.fit(vectors, ["a", "b", "c"] * 10, shrinkage=1.0)
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    mapped = metric.apply(vectors)
    np.testing.assert_allclose(mapped @ mapped.T, centred @ centred.T, atol=1e-5)


def test_whitening_equals_the_inverse_of_the_shrunk_covariance() -> None:
    generator = np.random.default_rng(1)
    labels = ["a", "b"] * 200
    vectors = generator.normal(size=(400, 3)) @ np.diag([5.0, 1.0, 0.2])
    vectors[1::2] += 3
    metric = EvenedMetric.fit(vectors.astype(np.float32), labels, shrinkage=0.4)
    residuals = vectors.copy()
    residuals[::2] -= vectors[::2].mean(axis=0)
    residuals[1::2] -= vectors[1::2].mean(axis=0)
    covariance = residuals.T @ residuals / 400
    shrunk = 0.6 * covariance + 0.4 * np.trace(covariance) / 3 * np.eye(3)
    np.testing.assert_allclose(
        metric.transform @ metric.transform.T, np.linalg.inv(shrunk), rtol=1e-4
    )


@pytest.mark.parametrize(
    "vectors", [np.eye(4), np.ones((4, 4)), np.zeros((1, 4)), np.zeros((0, 4))]
)
def test_singletons_and_equal_rows_are_safe(vectors: np.ndarray) -> None:
    labels = [f"c{row}" for row in range(len(vectors))]
    mapped = EvenedMetric.fit(vectors, labels).apply(vectors.astype(np.float32))
    assert np.isfinite(mapped).all()


def test_a_memory_on_disk_keeps_it(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).random((12, 4)).astype(np.float32)
    rows = make_rows([str(row) for row in range(12)], labels=["a", "b", "c"] * 4)
    metric = EvenedMetric.fit(vectors, ["a", "b", "c"] * 4)
    Memory.create(tmp_path / "m", vectors, rows, encoder="toy", metric=metric)
    opened = Memory.open(tmp_path / "m")
    assert isinstance(opened.metric, EvenedMetric)
    assert (opened.metric.apply(vectors) == metric.apply(vectors)).all()


def test_wrong_arguments_and_arrays_are_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="power"):
        EvenedMetric.fit(vectors, list("aab"), power=2.0)
    with pytest.raises(ValueError, match="shrinkage"):
        EvenedMetric.fit(vectors, list("aab"), shrinkage=-0.1)
    with pytest.raises(MemoryFault, match="3 vectors but 2 labels"):
        EvenedMetric.fit(vectors, list("ab"))
    good = EvenedMetric.fit(vectors, list("aab")).arrays()
    with pytest.raises(CorruptMemory, match="found"):
        EvenedMetric.from_arrays({"mean": good["mean"]})
    with pytest.raises(CorruptMemory, match="the power is not"):
        EvenedMetric.from_arrays(good | {"power": np.array(-1.0)})
