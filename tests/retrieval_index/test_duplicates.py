"""Near-duplicates: found, named once, and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval_index import Batch, IndexPlan, Memory, duplicate_pairs, make_rows, repeated
from retrieval_index import duplicates as duplicates_module
from tests.reference.nearest import near_pairs_slowly


def some_vectors(count: int = 120) -> np.ndarray:
    """Rows in pairs and triples that differ a little, of various lengths."""
    rng = np.random.default_rng(6)
    base = rng.normal(size=(count // 3, 8))
    vectors = np.repeat(base, 3, axis=0) + 0.1 * rng.normal(size=(count, 8))
    scaled: np.ndarray = (vectors * rng.uniform(0.1, 9, size=(count, 1))).astype(np.float32)
    return scaled


@pytest.mark.parametrize("threshold", [0.9, 0.97, 0.99, 1.0])
def test_pairs_are_those_of_a_slow_loop(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = some_vectors()
    vectors[7] = vectors[100] * 2
    monkeypatch.setattr(duplicates_module, "_BLOCK_QUERIES", 13)
    monkeypatch.setattr(duplicates_module, "_BLOCK_ROWS", 26)
    memory = Memory.in_ram(vectors, make_rows([str(i) for i in range(120)]), encoder="e")
    pairs = duplicate_pairs(memory, threshold)
    expected = near_pairs_slowly(vectors, threshold)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [
        (a, b) for a, b, _ in expected
    ]
    np.testing.assert_allclose(pairs.cosines, [c for _, _, c in expected], rtol=1e-6)
    assert pairs.complete
    assert len(expected) > 0


def test_the_metric_does_not_change_what_is_a_near_duplicate() -> None:
    vectors = some_vectors()
    rows = make_rows([str(i) for i in range(120)], labels=[str(i % 5) for i in range(120)])
    plain = duplicate_pairs(Memory.in_ram(vectors, rows, encoder="e"), 0.98)
    white = duplicate_pairs(Memory.in_ram(vectors, rows, encoder="e", metric="whitened"), 0.98)
    np.testing.assert_array_equal(plain.first, white.first)
    np.testing.assert_array_equal(plain.second, white.second)


def test_the_first_of_a_chain_takes_only_its_own_repetitions() -> None:
    # At 0, 10, 20 degrees with a threshold of 15: b repeats a; c repeats only b, which goes.
    angles = np.deg2rad([0.0, 10.0, 20.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    memory = Memory.in_ram(vectors, make_rows(["a", "b", "c"]), encoder="e")
    pairs = duplicate_pairs(memory, float(np.cos(np.deg2rad(15))))
    assert repeated(pairs, 3).tolist() == [False, True, False]


def test_an_approximate_index_proposes_the_pairs(tmp_path: Path) -> None:
    vectors = some_vectors(600)
    rows = make_rows([f"{i:03}" for i in range(600)])
    plan = IndexPlan(kind="ivf", recall=0.99, latency_ms=1e6)
    memory = Memory.build(tmp_path / "m", [Batch(vectors, rows)], encoder="e", plan=plan)
    pairs = duplicate_pairs(memory, 0.97)
    assert not pairs.complete
    expected = {(a, b) for a, b, _ in near_pairs_slowly(vectors, 0.97)}
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert found <= expected
    assert len(found) >= 0.95 * len(expected)


def test_building_leaves_the_repetitions_out(tmp_path: Path) -> None:
    vectors = some_vectors()
    rows = make_rows([f"{i:03}" for i in range(120)])
    memory = Memory.build(
        tmp_path / "m",
        [Batch(vectors[:50], rows[:50]), Batch(vectors[50:], rows[50:])],
        encoder="e",
        dedup=0.9,
    )
    assert memory.manifest.version == 1, "published once, without them"
    assert len(memory) < 60
    assert len(duplicate_pairs(memory, 0.9)) == 0
    assert Memory.open(tmp_path / "m").ids == memory.ids
    memory.verify()
