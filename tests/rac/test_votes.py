from __future__ import annotations

import math

import numpy as np
import pytest

from rac.branches.votes import class_balanced_votes
from tests.reference.votes import slow_votes


def test_three_neighbours_worked_by_hand() -> None:
    # Weights exp(s / 0.5) relative to the nearest: 1, exp(-1), exp(-2) = 1, 0.367879, 0.135335.
    # Class 0 (4 rows) hears the first, class 1 (1 row) the other two.
    # gamma 0.5 divides class 0 by 2: 0.5 against 0.503215, of 1.003215 together.
    votes = class_balanced_votes(
        np.array([[1.0, 0.5, 0.0]]),
        np.array([[0, 1, 1]]),
        np.array([4, 1]),
        temperature=0.5,
        gamma=0.5,
        smoothing=1e-9,
    )
    assert votes.dtype == np.float32
    near = 1.0 / 2.0
    far = math.exp(-1) + math.exp(-2)
    np.testing.assert_allclose(
        np.exp(votes[0]), [near / (near + far), far / (near + far)], rtol=1e-6
    )


def test_smoothing_is_the_floor_worked_by_hand() -> None:
    # One neighbour of class 0 of four: 0.9 * 1 + 0.1 / 4 = 0.925 for it, 0.025 for the others.
    votes = class_balanced_votes(
        np.array([[0.3]]),
        np.array([[0]]),
        np.ones(4),
        temperature=1.0,
        gamma=0.0,
        smoothing=0.1,
    )
    np.testing.assert_allclose(np.exp(votes[0]), [0.925, 0.025, 0.025, 0.025], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("temperature", [0.02, 0.3, 5.0])
def test_equals_the_slow_loop(gamma: float, temperature: float) -> None:
    generator = np.random.default_rng(3)
    scores = generator.uniform(-1, 1, (20, 7)).astype(np.float32)
    classes = generator.integers(-1, 5, (20, 7))
    scores[classes < 0] = -np.inf
    counts = np.array([0, 1, 2, 50, 7])
    votes = class_balanced_votes(scores, classes, counts, temperature=temperature, gamma=gamma)
    expected = slow_votes(scores, classes, counts, temperature, gamma, smoothing=1e-3)
    np.testing.assert_allclose(votes, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp(votes).sum(axis=1), 1.0, rtol=1e-5)


def test_a_query_that_finds_nothing_says_nothing() -> None:
    nothing = class_balanced_votes(
        np.full((1, 2), -np.inf), np.full((1, 2), -1), np.ones(4), temperature=0.1, gamma=0.7
    )
    empty_memory = class_balanced_votes(
        np.empty((3, 0)), np.empty((3, 0), int), np.ones(4), temperature=0.1, gamma=0.7
    )
    np.testing.assert_allclose(np.exp(nothing), np.full((1, 4), 0.25), rtol=1e-6)
    np.testing.assert_allclose(np.exp(empty_memory), np.full((3, 4), 0.25), rtol=1e-6)


def test_the_order_of_the_neighbours_changes_nothing() -> None:
    scores, classes = np.array([[0.9, 0.4, 0.2]]), np.array([[2, 0, 1]])
    there = class_balanced_votes(scores, classes, np.ones(3), temperature=0.2, gamma=0.5)
    back = class_balanced_votes(
        scores[:, ::-1], classes[:, ::-1], np.ones(3), temperature=0.2, gamma=0.5
    )
    np.testing.assert_allclose(there, back, rtol=1e-6)


def test_large_scores_do_not_overflow() -> None:
    votes = class_balanced_votes(
        np.array([[1e4, -1e4]]), np.array([[0, 1]]), np.ones(2), temperature=1e-3, gamma=0.0
    )
    assert np.isfinite(votes).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"gamma": -0.1}, "gamma"),
        ({"smoothing": 0.0}, "smoothing"),
        ({"classes": np.array([[5]])}, "class 5"),
        ({"classes": np.array([[0, 1]])}, "neighbours"),
        ({"counts": np.empty(0)}, "counts"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "scores": np.array([[0.5]]),
        "classes": np.array([[0]]),
        "counts": np.ones(2),
        "temperature": 0.1,
        "gamma": 0.5,
    }
    with pytest.raises(ValueError, match=message):
        class_balanced_votes(**(good | change))  # type: ignore[arg-type]
