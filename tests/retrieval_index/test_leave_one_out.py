from __future__ import annotations

import numpy as np
import pytest

from retrieval_index import Memory, make_rows
from retrieval_index import lookup as lookup_module
from tests.reference.nearest import cosine_slowly, nearest_slowly


def in_ram(vectors: np.ndarray, metric: str = "cosine", labels: list[str] | None = None) -> Memory:
    ids = [f"{i:03}" for i in range(len(vectors))]
    return Memory.in_ram(vectors, make_rows(ids, labels=labels), encoder="e", metric=metric)


def test_four_points_by_hand() -> None:
    # Angles 0, 10, 30, 90 degrees. Nearest other: 0 -> 10, 10 -> 0, 30 -> 10, 90 -> 30.
    angles = np.deg2rad([0, 10, 30, 90])
    memory = in_ram(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found = memory.leave_one_out(1)
    assert found.rows[:, 0].tolist() == [1, 0, 1, 2]
    # cos 10° = .985 counts as a near-duplicate from .98 on: 0 and 10 lose each other.
    # 0 -> 30; 10 -> 30; 30 -> 10 (cos 20° = .940 stays); 90 -> 30.
    apart = memory.leave_one_out(1, near_duplicate=0.98)
    assert apart.rows[:, 0].tolist() == [2, 2, 1, 2]


def test_a_row_never_finds_itself_nor_an_exact_copy() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(15, 33))
    vectors = np.concatenate([base, base * 7.0, base])  # a copy's length does not matter
    memory = in_ram(vectors)
    found = memory.leave_one_out(40, near_duplicate=1.0)
    for row, line in enumerate(found.rows):
        assert {int(r) % 15 for r in line if r >= 0} == set(range(15)) - {row % 15}
    plain = memory.leave_one_out(2)
    assert (plain.rows != np.arange(45)[:, np.newaxis]).all()
    assert (plain.rows % 15 == np.arange(45)[:, np.newaxis] % 15).all(), "copies are found"


@pytest.mark.parametrize("metric", ["cosine", "whitened"])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_equals_a_slow_loop(metric: str, threshold: float | None) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 6)).astype(np.float32)
    memory = in_ram(vectors, metric, labels=[str(i % 4) for i in range(50)])
    banned = [
        {
            memory.ids[other]
            for other in range(50)
            if other == row
            or (threshold is not None and cosine_slowly(vectors[row], vectors[other]) >= threshold)
        }
        for row in range(50)
    ]
    slow = nearest_slowly(memory.searchable, memory.searchable, memory.ids, 5, banned)
    found = memory.leave_one_out(5, near_duplicate=threshold)
    for line, expected in zip(found.rows, slow, strict=True):
        assert [memory.ids[r] for r in line if r >= 0] == [name for name, _ in expected]


def test_many_near_duplicates_do_not_crowd_out_the_others() -> None:
    """Guards the second look: 100 copies are more than the spare candidates of the first."""
    rng = np.random.default_rng(4)
    crowd = np.ones((100, 8)) + rng.normal(size=(100, 8)) * 1e-4
    others = rng.normal(size=(30, 8))
    found = in_ram(np.concatenate([crowd, others])).leave_one_out(10, near_duplicate=0.999)
    assert (found.rows[:100] >= 100).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(5).normal(size=(70, 9))
    whole = in_ram(vectors).leave_one_out(8, near_duplicate=0.8)
    monkeypatch.setattr(lookup_module, "CHUNK", 11)
    part = in_ram(vectors).leave_one_out(8, near_duplicate=0.8)
    np.testing.assert_array_equal(whole.rows, part.rows)
    np.testing.assert_array_equal(whole.scores, part.scores)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_find(count: int) -> None:
    found = in_ram(np.ones((count, 2))).leave_one_out(3, near_duplicate=0.9)
    assert found.rows.tolist() == [[-1, -1, -1]] * count
