"""Calibration, risk-coverage and exact binomial bounds."""

from __future__ import annotations

import numpy as np
import pytest

from eval.binomial import (
    clopper_pearson_interval,
    clopper_pearson_lower,
    clopper_pearson_upper,
)
from eval.calibration import expected_calibration_error, reliability
from eval.errors import ReportFault
from eval.selective import risk_coverage
from tests.reference import figures


def draw(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 80))
    # Sixteenths are exact, so that many rows tie and many lie on the bound of a bin.
    return rng.integers(0, 17, rows) / 16, rng.random(rows) < 0.6


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("bins", [1, 4, 16])
def test_calibration_error_is_that_of_the_loop(seed, bins):
    confidence, correct = draw(seed)
    expected = figures.calibration_error(confidence.tolist(), correct.tolist(), bins)
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)
    assert reliability(confidence, correct, bins).counts.sum() == len(confidence)


@pytest.mark.parametrize("seed", range(15))
def test_risk_coverage_is_that_of_the_loop(seed):
    confidence, correct = draw(seed)
    curve = risk_coverage(confidence, correct)
    points = list(zip(curve.threshold, curve.coverage, curve.risk, strict=True))
    expected = figures.risk_points(confidence.tolist(), correct.tolist())
    assert np.array(points) == pytest.approx(np.array(expected))
    area = figures.area_under_risk(confidence.tolist(), correct.tolist())
    assert curve.area == pytest.approx(area)
    for precision in (0.5, 0.8, 1.0):
        reached = [c for _, c, risk in expected if 1 - risk >= precision - 1e-12]
        assert curve.coverage_at(precision) == pytest.approx(max(reached, default=0))


@pytest.mark.parametrize("rows", [60, 500])
def test_the_error_by_chance_is_what_right_confidences_show(rows):
    """Against the mean of 500 draws; the sum of 15 gaps varies by a few per cent of it."""
    rng = np.random.default_rng(rows)
    confidence = rng.random(rows) ** 0.5
    drawn = [
        expected_calibration_error(confidence, rng.random(rows) < confidence) for _ in range(500)
    ]
    expected = reliability(confidence, np.ones(rows, bool)).by_chance
    assert expected == pytest.approx(np.mean(drawn), rel=0.06)


def test_no_rows_have_no_error_and_no_area():
    none = np.zeros(0, bool)
    assert reliability([], none).error is None
    assert reliability([], none).by_chance is None
    assert risk_coverage([], none).area is None


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused_with_its_row(bad):
    with pytest.raises(ReportFault, match="row 1"):
        risk_coverage([0.5, bad], np.array([True, True]))


@pytest.mark.parametrize("trials", [1, 2, 7, 30])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_lower_bound_inverts_the_binomial_tail(trials, confidence):
    successes = np.arange(trials + 1)
    expected = [figures.binomial_lower(int(s), trials, confidence) for s in successes]
    assert clopper_pearson_lower(successes, trials, confidence) == pytest.approx(expected)
    mirrored = 1 - clopper_pearson_lower(trials - successes, trials, confidence)
    assert clopper_pearson_upper(successes, trials, confidence) == pytest.approx(mirrored)


def test_bounds_without_trials_say_nothing():
    assert clopper_pearson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("arguments", [(3, 2), (-1, 2), (1, 2, 1.0)])
def test_impossible_counts_are_refused(arguments):
    with pytest.raises(ReportFault):
        clopper_pearson_lower(*arguments)
