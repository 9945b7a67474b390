from __future__ import annotations

import numpy as np
import pytest

from eval.bootstrap import percentile_interval, resample_accuracies
from eval.errors import ReportFault
from tests.reference import figures


def test_distribution_is_that_of_drawing_rows_one_by_one():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.zeros(20, int), np.ones(8, int), [2, 2, 3]])  # 3 is a singleton
    hits = rng.random(len(labels)) < 0.7
    members = [1, 2, 3]
    sets = np.array([[c in members for c in range(5)]])
    drawn = resample_accuracies(labels, hits[:, None], sets, resamples=8000, seed=1)
    shares, macros = figures.bootstrap(labels.tolist(), hits.tolist(), members, 8000, seed=2)
    # Standard errors of these means are below .002, of the quantiles below .006.
    macro = drawn.macro[:, 0, 0]
    assert drawn.share[:, 0].mean() == pytest.approx(np.mean(shares), abs=0.006)
    assert macro.mean() == pytest.approx(np.mean(macros), abs=0.01)
    for quantile in (0.025, 0.25, 0.75, 0.975):
        assert np.quantile(macro, quantile) == pytest.approx(
            np.quantile(macros, quantile), abs=0.02
        )


def test_same_seed_same_result_and_block_size_changes_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    labels, hits = rng.integers(0, 9, 50), rng.random((50, 2)) < 0.5
    sets = np.ones((1, 9), bool)
    whole = resample_accuracies(labels, hits, sets, resamples=64, seed=7)
    monkeypatch.setattr("eval.bootstrap._BLOCK_CELLS", 40)
    blocks = resample_accuracies(labels, hits, sets, resamples=64, seed=7)
    other = resample_accuracies(labels, hits, sets, resamples=64, seed=8)
    assert (whole.share == blocks.share).all()
    assert np.abs(whole.macro - blocks.macro).max() < 1e-12
    assert (whole.share != other.share).any()


def test_methods_see_the_same_rows():
    rng = np.random.default_rng(4)
    hit = rng.random(40) < 0.6
    drawn = resample_accuracies(
        np.zeros(40, int), np.stack([hit, hit, ~hit], axis=1), np.ones((1, 1), bool)
    )
    assert (drawn.share[:, 0] == drawn.share[:, 1]).all()
    assert drawn.share[:, 0] + drawn.share[:, 2] == pytest.approx(np.ones(1000))


def test_set_without_rows_is_nan_and_has_no_interval():
    sets = np.array([[True, False], [False, True]])
    drawn = resample_accuracies([0, 0], np.array([[True], [False]]), sets, resamples=10)
    assert np.isnan(drawn.macro[:, 0, 1]).all()
    assert percentile_interval(drawn.macro[:, 0, 1]) is None


def test_no_rows_cannot_be_resampled():
    with pytest.raises(ReportFault):
        resample_accuracies([], np.zeros((0, 1), bool), np.ones((1, 2), bool))
