from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rac.branches.retrieval import Lookup
from rac.branches.text import (
    Snippets,
    TextBranch,
    Told,
    attention,
    choose_text,
    prototypes,
    snippets,
)
from rac.branches.votes import SMOOTHING
from retrieval_index.arrays import unit_norm
from tests.reference.text import slow_text

CLASSES, ROWS = 4, 12


def branch(dimension: int = 5, seed: int = 0) -> TextBranch:
    names = unit_norm(np.random.default_rng(seed).normal(size=(CLASSES, dimension)))
    return TextBranch(names, names, k=3, temperature=0.1, gamma=0.7, scale=10.0)


def neighbours(queries: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Classes of a memory; scores, rows and classes of neighbours, some missing or unknown."""
    generator = np.random.default_rng(1)
    own = np.arange(ROWS) % CLASSES
    own[5] = -1
    rows = np.stack([generator.permutation(ROWS)[:4] for _ in range(queries)])
    scores = -np.sort(-generator.uniform(size=rows.shape).astype(np.float32), axis=1)
    rows[0, 2:], scores[0, 2:] = -1, -np.inf
    rows[1], scores[1] = -1, -np.inf
    return own, scores, rows, np.where(rows >= 0, own[rows], -1)


@pytest.mark.parametrize("most", [10**6, 24, 1])
def test_equals_the_slow_loop_in_blocks_of_any_size(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rac.branches.text._MOST_NUMBERS", most)
    text = branch()
    own, scores, rows, classes = neighbours()
    captions = unit_norm(np.random.default_rng(2).normal(size=(ROWS, 5)))
    captions[3] = 0
    counts = np.array([5, 1, 0, 3])
    told = snippets(text.names, captions, own)
    near = (scores[:, :3], rows[:, :3], classes[:, :3])
    np.testing.assert_allclose(
        text.log_probabilities(scores, rows, classes, counts, Snippets(text, told)),
        slow_text(*near, counts, told, text.prototypes, 0.1, 0.7, 10, SMOOTHING),
        rtol=1e-4,
        atol=1e-5,
    )


def test_who_has_no_neighbour_gets_the_even_share() -> None:
    text = branch()
    own, scores, rows, classes = neighbours()
    told = Snippets(text, snippets(text.names, None, own))
    said = text.log_probabilities(scores, rows, classes, np.ones(4), told)
    np.testing.assert_allclose(np.exp(said[1]), 0.25, rtol=1e-6)
    none = np.empty((2, 0))
    nobody = none.astype(np.int64)
    said = text.log_probabilities(none, nobody, nobody, np.ones(4), told)
    np.testing.assert_allclose(np.exp(said), 0.25, rtol=1e-6)


def test_a_sibling_by_name_is_believed_more_than_a_stranger() -> None:
    # Classes 0 and 1 are called nearly the same; the only neighbour is of class 0.
    names = unit_norm(np.array([[1.0, 0.1, 0.0], [1.0, 0.0, 0.1], [0.0, 0.0, 1.0]]))
    text = TextBranch(names, names, k=1, temperature=0.1, gamma=0.0, scale=5.0)
    one = np.zeros((1, 1), np.int64)
    told = Snippets(text, names[:1])
    said = text.log_probabilities(one.astype(np.float32), one, one, np.ones(3), told)[0]
    assert said[0] > said[1] > said[2] + 2


def test_snippets_are_made_of_what_there_is() -> None:
    names, captions = np.eye(2, 3), np.array([[0, 0, 1], [0, 0, 0], [0, 0, 1]])
    found = snippets(names, captions, np.array([0, 1, -1]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[half, 0, half], [0, 1, 0], [0, 0, 1]], rtol=1e-6)


def test_a_class_without_a_row_is_known_by_its_name() -> None:
    found = prototypes(np.eye(2, dtype=np.float32), np.array([[0.6, 0.8]]), np.array([0]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 1]], rtol=1e-6)


def test_neighbours_of_no_class_draw_no_attention() -> None:
    near = np.array([[0.9, 0.5, -np.inf]], np.float32)
    found = attention(near, np.array([[-1, 0, 1]]), np.array([1, 1]), temperature=0.1, gamma=0.5)
    assert found.tolist() == [[0.0, 1.0, 0.0]]


def test_the_scale_is_chosen_by_held_out_rows() -> None:
    # The neighbour is always right, so the surest branch is the best; or always wrong.
    text = branch()
    truth = np.arange(8) % CLASSES
    found = Lookup(np.ones((8, 1), np.float32), truth[:, None], np.ones(4), truth, np.ones(8))
    told = Told(found, np.arange(8)[:, None], text.names, text.names[truth])
    assert choose_text(text, [told], scales=(5.0, 40.0)).scale == 40.0
    wrong = replace(told, lookup=replace(found, truth=(truth + 1) % CLASSES))
    assert choose_text(text, [wrong], scales=(5.0, 40.0)).scale == 5.0
    silent = replace(told, lookup=replace(found, weights=np.zeros(8)))
    assert choose_text(text, [silent]) is text
