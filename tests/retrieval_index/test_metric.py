from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from retrieval_index import (
    BadVectors,
    CorruptMemory,
    CosineMetric,
    EvenedMetric,
    Memory,
    MemoryFault,
    WhitenedMetric,
    make_rows,
)
from retrieval_index.within_class import within_class_residuals
from tests.reference.nearest import within_class_covariance_slowly


def anisotropic(
    rng: np.random.Generator, classes: int, each: int, centres: np.ndarray | None = None
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Classes differ in 4 quiet directions; 4 loud ones only tell images of one class apart."""
    if centres is None:
        centres = rng.normal(size=(classes, 4))
    quiet = np.repeat(centres, each, axis=0) + rng.normal(size=(classes * each, 4)) * 0.2
    loud = rng.normal(size=(classes * each, 4)) * 3.0
    labels = [f"class{c}" for c in range(classes) for _ in range(each)]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))
    return np.concatenate([quiet, loud], axis=1) @ turn, labels, centres


def test_whitening_beats_the_cosine_where_classes_are_stretched(
    rng: np.random.Generator,
) -> None:
    train, labels, centres = anisotropic(rng, 12, 25)
    test, truth, _ = anisotropic(rng, 12, 10, centres)
    rows = make_rows([str(i) for i in range(len(labels))], labels=labels)
    right = {}
    for metric in ("cosine", "whitened"):
        memory = Memory.in_ram(train, rows, encoder="e", metric=metric)
        found = memory.search(test, 1).rows[:, 0]
        right[metric] = np.mean([memory.labels[r] == t for r, t in zip(found, truth, strict=True)])
    assert right["cosine"] < 0.5
    assert right["whitened"] > 0.9


def test_two_classes_in_the_plane_by_hand() -> None:
    # Residuals: class a (±1, 0) twice over, class b (0, ±2): S = diag(2/4, 8/4) over 4 rows… with
    # each class holding two rows: sum of squares 2 in x and 8 in y, over 4 rows: diag(.5, 2).
    vectors = np.array([[9.0, 0], [11.0, 0], [0, -2.0], [0, 2.0]])
    labels = ["a", "a", "b", "b"]
    residuals = within_class_residuals(vectors.astype(np.float32), labels)
    assert residuals.tolist() == [[-1, 0], [1, 0], [0, -2], [0, 2]]
    metric = WhitenedMetric.fit(vectors, labels)
    assert metric.mean.tolist() == [5.0, 0.0]
    # Whatever the shrinkage, x is stretched against y, and never by more than sqrt(2 / .5) = 2.
    covariance = np.linalg.inv(metric.transform @ metric.transform.T)
    assert 1.0 <= covariance[1, 1] / covariance[0, 0] <= 4.0
    np.testing.assert_allclose(np.trace(covariance), 2.5)  # shrinkage keeps the trace


def test_the_transform_whitens_the_shrunk_covariance(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(40, 5)).astype(np.float32) @ np.diag([1, 2, 3, 4, 5]).astype("f4")
    labels = [None if i % 9 == 0 else str(i % 6) for i in range(39)] + ["alone"]
    slow = within_class_covariance_slowly(vectors, labels)
    residuals = within_class_residuals(vectors, labels)
    np.testing.assert_allclose(residuals.T @ residuals / len(residuals), slow, rtol=1e-9)
    _, shrinkage = ledoit_wolf(residuals, assume_centered=True)
    shrunk = (1 - shrinkage) * slow + shrinkage * np.trace(slow) / 5 * np.eye(5)
    transform = WhitenedMetric.fit(vectors, labels).transform
    np.testing.assert_allclose(transform.T @ shrunk @ transform, np.eye(5), atol=1e-9)


@pytest.mark.parametrize("metric", [CosineMetric, WhitenedMetric])
def test_applied_vectors_are_float32_of_norm_one(
    metric: type[CosineMetric | WhitenedMetric], rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(30, 7)) * 50
    applied = metric.fit(vectors, ["a", "b"] * 15).apply(vectors)
    assert applied.dtype == np.float32
    assert applied.shape == (30, 7)
    np.testing.assert_allclose(np.linalg.norm(applied, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "labels"),
    [
        pytest.param(0, [], id="no rows"),
        pytest.param(1, ["a"], id="one row"),
        pytest.param(6, list("abcdef"), id="singletons only"),
        pytest.param(6, [None] * 6, id="no labels"),
        pytest.param(6, ["a"] * 6, id="one class"),
        pytest.param(6, ["a", "a", "b", None, "c", "c"], id="some labels missing"),
        pytest.param(12, ["a", "b"] * 6, id="fewer rows than dimensions"),
    ],
)
def test_small_and_odd_memories_are_safe(
    count: int, labels: list[str | None], rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(count, 20))
    metric = WhitenedMetric.fit(vectors, labels)
    applied = metric.apply(rng.normal(size=(5, 20)))
    assert np.isfinite(applied).all()
    np.testing.assert_allclose(np.linalg.norm(applied, axis=1), 1.0, atol=1e-6)


def test_equal_rows_leave_nothing_to_whiten() -> None:
    metric = WhitenedMetric.fit(np.ones((4, 3)), ["a", "a", "b", "b"])
    assert metric.transform.tolist() == np.eye(3).tolist()
    assert metric.apply(np.ones((1, 3))).tolist() == [[0.0, 0.0, 0.0]]


def test_classes_of_equal_rows_fall_back_to_the_spread_of_all() -> None:
    """Guards against a covariance of zeros: all the rows of each class are the same image."""
    vectors = np.array([[0.0, 0.0], [0.0, 0.0], [4.0, 1.0], [4.0, 1.0]])
    metric = WhitenedMetric.fit(vectors, ["a", "a", "b", "b"])
    assert np.isfinite(metric.transform).all()
    assert not np.array_equal(metric.transform, np.eye(2))


def test_a_direction_without_any_spread_does_not_explode(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(500, 4)) * [1, 1, 1, 0]
    metric = WhitenedMetric.fit(vectors, ["a"] * 500)
    assert np.isfinite(metric.apply(vectors + 0.1)).all()


def test_a_singleton_class_changes_the_mean_only(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(11, 3))
    labels = ["a"] * 5 + ["b"] * 5 + ["alone"]
    with_it, without = (WhitenedMetric.fit(vectors[:n], labels[:n]) for n in (11, 10))
    np.testing.assert_allclose(with_it.transform, without.transform)


def test_labels_must_match_the_vectors() -> None:
    with pytest.raises(MemoryFault, match="3 vectors but 2 labels"):
        WhitenedMetric.fit(np.eye(3), ["a", "b"])


def test_another_dimension_is_refused() -> None:
    with pytest.raises(BadVectors, match="dimension 4, the memory has 3"):
        WhitenedMetric.fit(np.eye(3), list("aab")).apply(np.eye(4))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MemoryFault, match=r"'euclid'.*cosine, whitened"):
        Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e", metric="euclid")


def test_saved_and_loaded_it_gives_the_same_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(20, 6))
    metric = WhitenedMetric.fit(vectors, ["a", "b"] * 10)
    metric.save(tmp_path / "m.npz")
    loaded = WhitenedMetric.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.apply(vectors), metric.apply(vectors))
    CosineMetric().save(tmp_path / "c.npz")
    assert isinstance(CosineMetric.load(tmp_path / "c.npz"), CosineMetric)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(2)}, "found \\['mean'\\]"),
        ({"mean": np.zeros(2), "transform": np.zeros((3, 3))}, "do not fit"),
        ({"mean": np.full(2, np.nan), "transform": np.zeros((2, 2))}, "finite"),
        ({"mean": np.zeros(2, dtype=np.float32), "transform": np.zeros((2, 2))}, "float64"),
        ({"mean": np.array([None, {}]), "transform": np.zeros((2, 2))}, "not a readable"),
    ],
)
def test_files_that_hold_something_else_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "m.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(CorruptMemory, match=message):
        WhitenedMetric.load(tmp_path / "m.npz")


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_single_precision_changes_the_last_digits_alone(
    power: float, rng: np.random.Generator
) -> None:
    vectors, labels, _ = anisotropic(rng, 12, 25)
    for metric in (
        CosineMetric(),
        WhitenedMetric.fit(vectors, labels),
        EvenedMetric.fit(vectors, labels, power=power),
    ):
        double, single = metric.apply(vectors), metric.apply(vectors, single=True)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, atol=1e-6)
    assert not np.array_equal(double, single)
