"""Figures over seeds and thirds, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from eval.baselines.figures import SeededPredictions, _resampled_ece, seed_figures, thirds
from tests.reference.baselines import slow_calibration_error


def test_thirds_go_by_count_and_then_by_number() -> None:
    head, mid, tail = thirds(np.array([1, 8, 3, 3, 3, 9, 1]))
    assert np.flatnonzero(head).tolist() == [1, 2, 5]  # 9, 8, and the first of the threes
    assert np.flatnonzero(mid).tolist() == [3, 4]
    assert np.flatnonzero(tail).tolist() == [0, 6]


def test_figures_by_hand() -> None:
    # Classes of 9, 5 and 1 training images; the last has no test row. Seed 0 has class 0 right
    # 2 of 2 and class 1 right 1 of 2; seed 1 has 1 of 2 and 1 of 2.
    truth = np.array([0, 0, 1, 1])
    said = SeededPredictions(
        predicted=np.array([[0, 0, 1, 0], [0, 1, 1, 0]]),
        confidence=np.full((2, 4), 0.75),
    )
    figures = seed_figures(truth, said, np.array([9, 5, 1]))
    assert figures.values["top1"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert figures.values["head"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures.values["mid"] == pytest.approx(1 / 2)
    assert figures.values["macro"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert figures.values["tail"] is None
    assert figures.intervals["tail"] is None
    # Sure by .75 throughout: seed 0 is right 3 of 4, seed 1 is right 2 of 4.
    assert figures.values["ece"] == pytest.approx((0 + 0.25) / 2)
    for name in ("top1", "macro", "head", "mid", "ece"):
        interval, value = figures.intervals[name], figures.values[name]
        assert interval is not None
        assert value is not None
        assert 0 <= interval[0] <= value <= interval[1] <= 1


def test_an_interval_covers_the_rate_that_it_is_of() -> None:
    """Of a hundred test sets drawn at a rate of .7, about 95 intervals hold .7."""
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        truth = draw.integers(0, 3, 200)
        predicted = np.where(draw.random(200) < 0.7, truth, (truth + 1) % 3)
        said = SeededPredictions(predicted[None], np.full((1, 200), 0.7))
        low, high = seed_figures(truth, said, np.array([3, 2, 1]), resamples=200).intervals["top1"]
        covered += low <= 0.7 <= high
    assert 88 <= covered <= 100


def test_rows_that_are_all_right_are_not_certain() -> None:
    said = SeededPredictions(np.array([[0, 0, 1]]), np.ones((1, 3)))
    figures = seed_figures(np.array([0, 0, 1]), said, np.array([2, 1]))
    assert figures.values["top1"] == 1.0
    # Three of three: the exact bound is .025 ** (1 / 3).
    assert figures.intervals["top1"] == pytest.approx((0.025 ** (1 / 3), 1.0))


def test_resampled_calibration_errors_are_those_of_the_resamples() -> None:
    draw = np.random.default_rng(1)
    confidence = draw.random((2, 30))
    hits = draw.random((2, 30)) < confidence
    samples = _resampled_ece(confidence, hits, resamples=5, seed=4)
    times = np.random.default_rng(4).multinomial(30, np.full(30, 1 / 30), size=5)
    for sample, many in zip(samples, times, strict=True):
        rows = np.repeat(np.arange(30), many)
        errors = [
            slow_calibration_error(c[rows], h[rows], 15)
            for c, h in zip(confidence, hits, strict=True)
        ]
        assert sample == pytest.approx(np.mean(errors))


def test_the_same_seed_gives_the_same_intervals() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 60)
    said = SeededPredictions(np.zeros((1, 60), np.int64), np.full((1, 60), 0.8))
    counts = np.array([4, 2])
    assert seed_figures(truth, said, counts) == seed_figures(truth, said, counts)
    assert seed_figures(truth, said, counts) != seed_figures(truth, said, counts, seed=1)


def test_the_likeliest_class_is_taken_the_first_of_equal_ones() -> None:
    said = SeededPredictions.of([np.array([[0.5, 0.5], [0.1, 0.9]])])
    assert said.predicted.tolist() == [[0, 1]]
    assert said.confidence.tolist() == [[0.5, 0.9]]
