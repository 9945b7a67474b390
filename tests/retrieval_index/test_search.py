"""Exact and FAISS search against a slow loop, and the rules both keep."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_index import BadVectors, CosineMetric, Memory, MemoryFault, exact_search, make_rows
from retrieval_index.flat import faiss_candidates, flat_search
from retrieval_index.stack import Stack
from tests.reference.nearest import nearest_slowly


def unit(vectors: np.ndarray) -> np.ndarray:
    return CosineMetric().apply(vectors)


def test_three_points_by_hand() -> None:
    # Rows (1,0), (0.6,0.8), (0,1); the query (0.8,0.6) has inner products
    # 0.8, 0.6*0.8 + 0.8*0.6 = 0.96, and 0.6: so rows 1, 0, 2.
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    query = np.array([[0.8, 0.6]], dtype=np.float32)
    for found in (exact_search(vectors, query, 3), flat_search(vectors, query, 3)):
        assert found.rows.tolist() == [[1, 0, 2]]
        np.testing.assert_allclose(found.scores, [[0.96, 0.8, 0.6]], rtol=1e-6)
        assert found.scores.dtype == np.float32
        assert found.rows.dtype == np.int64


def test_ties_go_by_the_id_not_by_the_row() -> None:
    # All three rows are equal, so only the ids decide: '10' < '9' < 'a' as strings.
    vectors = np.ones((3, 4))
    memory = Memory.in_ram(vectors, make_rows(["a", "9", "10"]), encoder="e")
    found = memory.search(np.ones((1, 4)), k=3)
    assert [memory.ids[row] for row in found.rows[0]] == ["10", "9", "a"]
    assert len(set(found.scores[0].tolist())) == 1


def test_ids_beyond_ascii_sort_by_code_point_as_python_strings_do() -> None:
    ids = ["ü", "z", "é", "𝄞", "\uffee", "A"]
    memory = Memory.in_ram(np.ones((6, 2)), make_rows(ids), encoder="e")
    found = memory.search(np.ones((1, 2)), k=6)
    assert [ids[row] for row in found.rows[0]] == sorted(ids)


def test_k_beyond_the_memory_is_filled_up() -> None:
    vectors = unit(np.eye(2))
    for found in (exact_search(vectors, vectors, 4), flat_search(vectors, vectors, 4)):
        assert found.rows.tolist() == [[0, 1, -1, -1], [1, 0, -1, -1]]
        assert found.scores[:, 2:].tolist() == [[-np.inf] * 2] * 2


def test_empty_memory_and_no_queries() -> None:
    none = np.zeros((0, 3), dtype=np.float32)
    some = unit(np.eye(3))
    assert exact_search(none, some, 2).rows.tolist() == [[-1, -1]] * 3
    assert flat_search(none, some, 2).rows.tolist() == [[-1, -1]] * 3
    assert exact_search(some, none, 2).rows.shape == (0, 2)
    assert flat_search(some, none, 2).rows.shape == (0, 2)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k: int) -> None:
    memory = Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e")
    with pytest.raises(MemoryFault, match="at least one neighbour"):
        memory.search(np.eye(2), k)


def test_bad_queries_are_named() -> None:
    memory = Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e")
    with pytest.raises(BadVectors, match="queries: have dimension 3, the memory has 2"):
        memory.search(np.eye(3), 1)
    with pytest.raises(BadVectors, match="queries: row 1 holds a value that is not a finite"):
        memory.search(np.array([[0.0, 1.0], [np.nan, 0.0]]), 1)
    with pytest.raises(BadVectors, match=r"got shape \(2,\)"):
        memory.search(np.zeros(2), 1)
    with pytest.raises(BadVectors, match="floating-point"):
        memory.search(np.zeros((1, 2), dtype=np.int64), 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 7, 60])
def test_exact_flat_and_slow_agree_with_ties_and_duplicates(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    # Coarse values and repeated rows make many real ties, across the border of the first k too.
    vectors = unit(np.round(rng.normal(size=(60, 5)) * 1.5) + np.array([0, 0, 0, 0, 1e-3]))
    vectors = np.ascontiguousarray(np.concatenate([vectors, vectors[:25], vectors[:25]]))
    queries = np.ascontiguousarray(vectors[rng.permutation(len(vectors))[:20]])
    ids = [str(i) for i in rng.permutation(len(vectors))]
    order = np.argsort(np.argsort(ids))
    slow = nearest_slowly(vectors, queries, ids, k)
    exact = exact_search(vectors, queries, k, order=order)
    flat = flat_search(vectors, queries, k, order=order)
    for found in (exact, flat):
        assert [[ids[row] for row in line] for line in found.rows] == [
            [name for name, _ in line] for line in slow
        ]
        np.testing.assert_array_equal(found.scores, [[score for _, score in a] for a in slow])


def test_more_equal_rows_than_spare_candidates_still_go_by_id() -> None:
    """Guards the second look: FAISS gives any k + 16 of 300 equal rows, not those of least id."""
    vectors = unit(np.ones((300, 8)) * 0.3)
    order = np.arange(300)[::-1].copy()
    found = flat_search(vectors, vectors[:3], 5, order=order)
    assert found.rows.tolist() == [[299, 298, 297, 296, 295]] * 3
    # Not vacuous: what FAISS gave first does not hold them.
    _, candidates, _ = faiss_candidates(Stack([vectors]), vectors[:3], 5 + 16)
    assert 299 not in candidates[0]


def test_near_ties_below_float32_noise_of_the_sum_are_ranked_right(
    rng: np.random.Generator,
) -> None:
    """Guards the re-ranking: rows 1e-7 apart come in an arbitrary order from a float32 sum."""
    base = rng.normal(size=512)
    vectors = unit(base + rng.normal(size=(400, 512)) * 3e-5)
    queries = unit(base + rng.normal(size=(40, 512)) * 0.3)
    flat, exact = flat_search(vectors, queries, 10), exact_search(vectors, queries, 10)
    np.testing.assert_array_equal(flat.rows, exact.rows)
    np.testing.assert_array_equal(flat.scores, exact.scores)
    _, raw, _ = faiss_candidates(Stack([vectors]), queries, 10)
    assert (raw != exact.rows).any(), "the data are too easy to show anything"


@pytest.mark.parametrize("chunk", [1, 3, 64, 1000])
def test_chunk_size_changes_nothing(chunk: int, rng: np.random.Generator) -> None:
    vectors = unit(rng.normal(size=(200, 24)))
    whole = flat_search(vectors, vectors, 9)
    part = flat_search(vectors, vectors, 9, chunk=chunk)
    np.testing.assert_array_equal(whole.rows, part.rows)
    np.testing.assert_array_equal(whole.scores, part.scores)


@pytest.mark.parametrize("metric", ["cosine", "whitened"])
def test_batch_size_changes_nothing(metric: str, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(120, 40))
    labels = [str(i % 7) for i in range(120)]
    rows = make_rows([f"{i:03}" for i in range(120)], labels=labels)
    memory = Memory.in_ram(vectors, rows, encoder="e", metric=metric)
    queries = rng.normal(size=(33, 40))
    whole = memory.search(queries, 6)
    for row, query in enumerate(queries):
        alone = memory.search(query[np.newaxis], 6)
        np.testing.assert_array_equal(alone.rows[0], whole.rows[row])
        np.testing.assert_array_equal(alone.scores[0], whole.scores[row])


def test_excluded_ids_are_not_found_and_unknown_ones_ignored(rng: np.random.Generator) -> None:
    vectors = unit(rng.normal(size=(80, 6)))
    ids = [f"row{i}" for i in range(80)]
    memory = Memory.in_ram(vectors, make_rows(ids), encoder="e")
    banned = [set(rng.choice(ids, size=n, replace=False)) for n in (0, 1, 40, 79, 80)]
    queries = vectors[:5]
    found = memory.search(queries, 6, exclude=[[*names, "nobody"] for names in banned])
    slow = nearest_slowly(vectors, queries, ids, 6, banned)
    for line, expected in zip(found.rows, slow, strict=True):
        assert [ids[row] for row in line if row >= 0] == [name for name, _ in expected]
    assert found.rows[4].tolist() == [-1] * 6
    with pytest.raises(MemoryFault, match="5 queries but 2 lists"):
        memory.search(queries, 6, exclude=[[], []])


def test_zero_vectors_score_zero_and_harm_nobody() -> None:
    memory = Memory.in_ram(
        np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), make_rows(["z", "p", "n"]), encoder="e"
    )
    found = memory.search(np.array([[1.0, 0.0], [0.0, 0.0]]), k=3)
    assert found.rows.tolist() == [[1, 0, 2], [2, 1, 0]]  # all tie at 0: ids n < p < z
    assert found.scores.tolist() == [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]


_ARRAYS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(3)),
    elements=st.integers(-2, 2).map(float),
)


@settings(deadline=None, max_examples=60)
@given(
    vectors=_ARRAYS, queries=_ARRAYS, k=st.integers(1, 45), data=st.data(), chunk=st.integers(1, 50)
)
def test_flat_equals_exact_whatever_comes(
    vectors: np.ndarray, queries: np.ndarray, k: int, data: st.DataObject, chunk: int
) -> None:
    order = np.array(data.draw(st.permutations(range(len(vectors)))))
    rows, asked = unit(vectors), unit(queries)
    exact = exact_search(rows, asked, k, order=order)
    flat = flat_search(rows, asked, k, order=order, chunk=chunk)
    np.testing.assert_array_equal(flat.rows, exact.rows)
    np.testing.assert_array_equal(flat.scores, exact.scores)
    found = flat.rows >= 0
    assert (found.sum(axis=1) == min(k, len(rows))).all()
    assert (np.diff(flat.scores[:, : min(k, len(rows))], axis=1) <= 0).all()
    for line in flat.rows:
        assert len(set(line[line >= 0])) == (line >= 0).sum()


@settings(deadline=None, max_examples=40)
@given(vectors=_ARRAYS, data=st.data(), k=st.integers(1, 10))
def test_the_order_of_rows_does_not_matter(
    vectors: np.ndarray, data: st.DataObject, k: int
) -> None:
    ids = [f"{i:02}" for i in range(len(vectors))]
    mixed = data.draw(st.permutations(range(len(vectors))))
    straight = Memory.in_ram(vectors, make_rows(ids), encoder="e")
    shuffled = Memory.in_ram(vectors[mixed], make_rows([ids[i] for i in mixed]), encoder="e")
    queries = vectors[:4]
    a, b = straight.search(queries, k), shuffled.search(queries, k)
    np.testing.assert_array_equal(a.scores, b.scores)
    name = [*ids, "-"]
    mixed_name = [*(ids[i] for i in mixed), "-"]
    assert [[name[r] for r in line] for line in a.rows] == [
        [mixed_name[r] for r in line] for line in b.rows
    ]
