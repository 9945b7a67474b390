from __future__ import annotations

import numpy as np
import pytest
import torch

from rac.branches import nearest
from rac.branches.nearest import NearestRows, suits
from retrieval_index import Memory, exact_search, make_rows

ROWS, DIM = 2100, 64


def memory(vectors: np.ndarray) -> Memory:
    # Ids that do not sort as the rows lie.
    ids = [f"r{(11 * row) % len(vectors)}" for row in range(len(vectors))]
    return Memory.in_ram(vectors, make_rows(ids), encoder="toy0")


def clouds(rng: np.random.Generator, rows: int) -> np.ndarray:
    centres = np.random.default_rng(1).normal(size=(30, DIM))
    vectors = centres[rng.integers(0, 30, rows)] + rng.normal(size=(rows, DIM))
    return vectors.astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("k", [1, 30])
def test_finds_what_the_exact_search_finds(
    k: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = memory(clouds(rng, ROWS))
    monkeypatch.setattr(nearest, "_MOST_CHUNK", 100)
    queries = clouds(rng, 250)
    mapped = held.metric.apply(queries)
    found = NearestRows(held).search(queries, mapped, k)
    right = held.search(queries, k)
    assert (found.rows == right.rows).all()
    np.testing.assert_allclose(found.scores, right.scores, atol=1e-6)


def test_most_answers_are_certain_at_once(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the memory's own search would do all the work, and the tests here prove nothing."""
    held, queries = memory(clouds(rng, ROWS)), clouds(rng, 200)
    asked = []
    search = Memory.search
    monkeypatch.setattr(
        Memory, "search", lambda self, some, k: asked.append(len(some)) or search(self, some, k)
    )
    NearestRows(held).search(queries, held.metric.apply(queries), 10)
    assert sum(asked) < 20


def test_rows_that_rounding_cannot_tell_apart_are_looked_at_again(rng: np.random.Generator) -> None:
    """All rows within one step of a byte: their products tie, their true scores do not."""
    centre = rng.normal(size=DIM)
    vectors = (centre + 1e-4 * rng.normal(size=(ROWS, DIM))).astype(np.float32)
    held, queries = memory(vectors), clouds(rng, 20)
    mapped = held.metric.apply(queries)
    rounded = NearestRows(held)
    found = rounded.search(queries, mapped, 10)
    assert (found.rows == held.search(queries, 10).rows).all()
    assert not rounded._settled(mapped, 10, rounded._buffers.get())[1].all()


def test_equal_rows_are_ordered_by_their_ids(rng: np.random.Generator) -> None:
    vectors = clouds(rng, ROWS)
    vectors[100:120] = vectors[0]
    held = memory(vectors)
    query = vectors[:1]
    found = NearestRows(held).search(query, held.metric.apply(query), 21)
    ids = [held.ids[row] for row in found.rows[0]]
    assert ids == sorted(ids)
    assert len(set(found.scores[0].tolist())) == 1


def test_a_query_of_zeros_and_fewer_rows_than_groups_hold(rng: np.random.Generator) -> None:
    held = memory(clouds(rng, ROWS + 5))
    queries = np.zeros((3, DIM), np.float32)
    found = NearestRows(held).search(queries, queries, 5)
    assert (found.rows == held.search(queries, 5).rows).all()


def test_deleted_rows_are_not_found(rng: np.random.Generator) -> None:
    held = memory(clouds(rng, ROWS))
    queries = clouds(rng, 30)
    gone = {held.ids[row] for row in held.search(queries, 1).rows[:, 0]}
    left = held.delete(sorted(gone))
    found = NearestRows(left).search(queries, left.metric.apply(queries), 5)
    right = exact_search(left.searchable, left.metric.apply(queries), 5)
    np.testing.assert_allclose(found.scores, right.scores, atol=1e-6)
    assert not gone & {left.ids[row] for row in found.rows.ravel()}


def test_small_memories_and_narrow_vectors_keep_to_the_search_of_the_memory(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu._is_vnni_supported", lambda: True)
    vectors = clouds(rng, ROWS)
    assert suits(memory(vectors), 30)
    assert not suits(memory(vectors), 200)
    assert not suits(memory(vectors[:1000]), 30)
    assert not suits(memory(vectors[:, :32]), 30)
    monkeypatch.setattr("torch.cpu._is_vnni_supported", lambda: False)
    assert not suits(memory(vectors), 30)


def test_what_was_made_while_testing_serves_afterwards(rng: np.random.Generator) -> None:
    """`rac train test` broke off: Lightning judges in inference mode, and predictions follow it."""
    held, queries = memory(clouds(rng, ROWS)), clouds(rng, 20)
    with torch.inference_mode():
        made = NearestRows(held)
    found = made.search(queries, held.metric.apply(queries), 5)
    assert (found.rows == held.search(queries, 5).rows).all()
