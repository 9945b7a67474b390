from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import hypergeom  # type: ignore[import-untyped]

from eval.binomial import clopper_pearson_lower
from rac.attributes.model.allowed_errors import allowed_errors
from rac.attributes.model.precision_control import (
    fit_threshold,
    low_support,
    shift_probability,
    value_offsets,
)
from rac.attributes.task.sample_size import smallest_sample


def draw(rng: np.random.Generator, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that overstate: a cell with probability p is right with p ** 1.5."""
    probability = rng.random(cells)
    return probability, rng.random(cells) < probability**1.5


def true_precision(above: float) -> float:
    """Mean of p ** 1.5 over p uniform on (above, 1)."""
    return (1 - above**2.5) / (2.5 * (1 - above))


@pytest.mark.parametrize(("target", "confidence"), [(0.8, 0.9), (0.9, 0.8)])
def test_the_promise_holds_in_the_stated_share_of_jobs(target: float, confidence: float) -> None:
    """Over 400 catalogues, the precision above the threshold falls short in at most 1 - confidence
    of them, give or take three standard errors of that share; searching without a sequence, on the
    same catalogues, falls short more often, so the test can tell."""
    rng = np.random.default_rng(0)
    jobs, broken, careless, found = 400, 0, 0, 0
    for _ in range(jobs):
        probability, right = draw(rng, 300)
        threshold = fit_threshold(probability, right, target=target, confidence=confidence)
        if threshold.above is not None:
            found += 1
            broken += true_precision(threshold.above) < target
        order = np.argsort(-probability)
        counts = np.arange(1, 301)
        bounds = clopper_pearson_lower(np.cumsum(right[order]), counts, confidence)
        passing = np.flatnonzero(bounds >= target)
        if len(passing):
            cells = int(passing[-1]) + 1
            careless += true_precision(probability[order][min(cells, 299)]) < target
    risk = 1 - confidence
    assert broken / jobs <= risk + 3 * math.sqrt(risk * confidence / jobs)
    assert careless > broken
    assert found > jobs / 4


def test_the_smallest_sample_is_the_smallest() -> None:
    for target, confidence in ((0.9, 0.95), (0.95, 0.95), (0.5, 0.9)):
        cells = smallest_sample(target, confidence)
        assert clopper_pearson_lower(cells, cells, confidence) >= target
        assert clopper_pearson_lower(cells - 1, cells - 1, confidence) < target


def test_too_few_cells_vouch_for_nothing() -> None:
    found = fit_threshold(np.full(28, 0.99), np.ones(28, bool), target=0.9)
    assert found.above is None
    assert "at least 29" in str(found.reason)
    assert fit_threshold(np.zeros(0), np.zeros(0, bool), target=0.9).above is None


def test_always_wrong_fills_nothing_and_says_so() -> None:
    found = fit_threshold(np.linspace(0.5, 1, 200), np.zeros(200, bool), target=0.9)
    assert found.above is None
    assert "no threshold keeps precision 0.9" in str(found.reason)
    assert found.expected_precision is None


def test_the_counts_are_of_the_cells_strictly_above() -> None:
    """100 right ones above 100 coin flips: the line falls between them."""
    probability = np.concatenate([np.linspace(0.9, 1.0, 100), np.linspace(0.1, 0.5, 100)])
    right = np.concatenate([np.ones(100, bool), np.arange(100) % 2 == 0])
    found = fit_threshold(probability, right, target=0.95)
    assert found.above is not None
    above = probability > found.above
    assert found.cells == above.sum() == pytest.approx(100, abs=5)
    assert found.right == right[above].sum()
    assert found.precision_bound is not None
    assert found.precision_bound >= 0.95
    assert found.expected_coverage == found.cells / 200


def test_equal_probabilities_are_taken_together_or_not_at_all() -> None:
    probability = np.concatenate([np.full(80, 0.99), np.full(80, 0.6)])
    right = np.concatenate([np.ones(80, bool), np.zeros(80, bool)])
    found = fit_threshold(probability, right, target=0.95)
    assert (found.above, found.cells) == (0.6, 80)


def test_the_order_of_cells_changes_nothing() -> None:
    probability, right = draw(np.random.default_rng(3), 400)
    shuffled = np.random.default_rng(4).permutation(400)
    assert fit_threshold(probability, right, target=0.8) == fit_threshold(
        probability[shuffled], right[shuffled], target=0.8
    )


def test_a_value_that_is_unproven_does_not_hide_behind_the_others() -> None:
    """500 cells of value 0 are right, 10 of value 1 wrong: 98 % overall, 0 % for value 1."""
    value = np.repeat([0, 1], [500, 10])
    right, probability = value == 0, np.full(510, 0.97)
    held = low_support(right, value, np.ones(510, bool), 3)
    assert held.tolist() == [False, True, True]
    offsets = value_offsets(probability, right, value, 3)
    moved = shift_probability(np.full(3, 0.97), offsets)
    assert moved[1] < 0.5 < 0.97 < moved[0]
    assert moved[2] == pytest.approx(0.97)


def test_half_wrong_is_unproven_and_below_the_threshold_does_not_count() -> None:
    value, right = np.array([0, 0, 1, 1]), np.array([True, False, True, False])
    above = np.array([True, True, True, False])
    assert low_support(right, value, above, 3).tolist() == [True, False, True]


def test_offsets_stay_small_on_little_evidence() -> None:
    """By hand: one wrong cell at p = .5 solves -sigmoid(b) = b, b = -0.4012."""
    offsets = value_offsets(np.array([0.5]), np.array([False]), np.array([0]), 1)
    assert offsets[0] == pytest.approx(-0.4012, abs=1e-3)


@pytest.mark.parametrize(("target", "confidence"), [(0.95, 0.95), (0.5, 0.8), (0.9, 0.3)])
def test_allowed_errors_are_the_most_at_which_both_bounds_hold(
    target: float, confidence: float
) -> None:
    """Against a slow loop over whole probabilities, for few cells and many to be filled."""
    cells = np.array([1, 7, 60, 60, 200, 200])
    filled = np.array([5, 7, 1, 600, 30, 100_000])
    expected = []
    for judged, others in zip(cells.tolist(), filled.tolist(), strict=True):
        broken = math.floor((1 - target) * others + 1e-9) + 1
        most = -1
        for wrong in range(judged):
            endless = clopper_pearson_lower(judged - wrong, judged, confidence) >= target
            lot = hypergeom.cdf(wrong, judged + others, wrong + broken, judged) <= 1 - confidence
            if not (endless and (lot or broken > others)):
                break
            most = wrong
        expected.append(most)
    assert allowed_errors(cells, filled, target, confidence).tolist() == expected
