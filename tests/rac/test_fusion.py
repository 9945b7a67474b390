from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rac.branches.base import log_softmax
from rac.fusion import Heard, calibrate, fit_fusion, fused, unfitted_fusion
from tests.reference.fusion import slow_fusion


def heard(rows: int = 300, seed: int = 0) -> tuple[Heard, np.ndarray]:
    """Classes 0 and 1 are many-shot and known to the base branch, 2 and 3 to the neighbours."""
    generator = np.random.default_rng(seed)
    counts = np.array([60, 40, 3, 2])
    truth = generator.integers(0, 4, rows)
    base, retrieval = generator.normal(size=(2, rows, 4))
    many = truth < 2
    base[many, truth[many]] += 4
    retrieval[~many, truth[~many]] += 4
    return (
        Heard(log_softmax(base), log_softmax(retrieval), truth, np.ones(rows)),
        counts,
    )


@pytest.mark.parametrize("counts", [[60, 40, 3, 1], [5, 5, 5, 5], [9, 1, 0, 2]])
def test_equals_the_slow_loop(counts: list[int]) -> None:
    said, _ = heard(20)
    weights = (0.9, 0.2, 0.4, -0.1, -0.3)
    fusion = replace(unfitted_fusion(np.array(counts)), weights=weights, temperature=1.7)
    found = fusion.log_probabilities(said.base, said.retrieval, np.array(counts))
    expected = slow_fusion(said.base, said.retrieval, counts, weights, 1.7)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_it_learns_whom_to_believe_about_which_class() -> None:
    said, counts = heard()
    fitted = fit_fusion([said], counts)
    assert fitted.weights[1] > 0 > fitted.weights[3]

    new, _ = heard(seed=1)

    def accuracy(scores: np.ndarray) -> float:
        return float((scores.argmax(axis=1) == new.truth).mean())

    fused = accuracy(fitted.log_probabilities(new.base, new.retrieval, counts))
    start = unfitted_fusion(counts).log_probabilities(new.base, new.retrieval, counts)
    assert fused > max(accuracy(new.base), accuracy(new.retrieval)) + 0.1
    assert fused >= accuracy(start)


def test_the_fit_is_repeatable_and_ignores_rows_without_weight() -> None:
    said, counts = heard()
    once = fit_fusion([said], counts)
    lies = replace(
        said,
        base=np.concatenate([said.base, said.base]),
        retrieval=np.concatenate([said.retrieval, said.retrieval]),
        truth=np.concatenate([said.truth, (said.truth + 1) % 4]),
        weights=np.concatenate([said.weights, np.zeros(len(said.truth))]),
    )
    assert fit_fusion([said], counts) == once
    np.testing.assert_allclose(fit_fusion([lies], counts).weights, once.weights, rtol=1e-9)


def test_without_held_out_rows_it_stays_unfitted() -> None:
    said, counts = heard()
    silent = replace(said, weights=np.zeros(len(said.truth)))
    assert fit_fusion([silent], counts) == unfitted_fusion(counts)
    assert calibrate(unfitted_fusion(counts), silent, counts).temperature == 1.0


def test_the_fallback_does_not_hear_the_neighbours() -> None:
    said, counts = heard()
    assert fit_fusion([said], counts, with_retrieval=False).weights[2:4] == (0.0, 0.0)


def test_equal_counts_leave_the_rarity_out() -> None:
    said, _ = heard()
    fitted = fit_fusion([said], np.array([7, 7, 7, 7]))
    assert fitted.spread == 1.0
    assert (fitted.rarity(np.array([7, 7, 7, 7])) == 0).all()
    assert fitted.weights[4] == 0.0


def test_calibration_recovers_a_known_temperature() -> None:
    # Labels are drawn from the probabilities themselves; scores three times as sharp need T = 3.
    generator = np.random.default_rng(0)
    counts = np.array([5, 5, 5])
    honest = log_softmax(generator.normal(size=(4000, 3)))
    truth = np.array([generator.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in honest])
    sharp = (3 * honest).astype(np.float32)
    fusion = replace(
        unfitted_fusion(counts, with_retrieval=False), weights=(1.0, 0.0, 0.0, 0.0, 0.0)
    )
    said = Heard(sharp, np.zeros_like(sharp), truth, np.ones(len(truth)))
    assert calibrate(fusion, said, counts).temperature == pytest.approx(3.0, rel=0.1)


def test_text_is_heard_as_far_as_it_helps() -> None:
    said, counts = heard(3000)
    generator = np.random.default_rng(3)
    hint = generator.normal(size=said.base.shape)
    hint[np.arange(len(hint)), said.truth] += 3
    told = replace(said, text=log_softmax(hint))
    noisy = replace(said, text=log_softmax(generator.normal(size=hint.shape)))
    fitted, without = fit_fusion([told], counts), fit_fusion([said], counts)
    assert fitted.text[0] > 0.3
    assert abs(fit_fusion([noisy], counts).text[0]) < 0.1
    assert without.text == (0.0, 0.0)

    def loss(scores: np.ndarray) -> float:
        return -float(scores[np.arange(len(scores)), said.truth].mean())

    assert loss(fused(fitted, told, counts)) < loss(fused(without, said, counts)) - 0.05
    t1, t2 = fitted.text
    rest = replace(fitted, text=(0.0, 0.0)).log_probabilities(said.base, said.retrieval, counts)
    expected = log_softmax(rest + (t1 + t2 * fitted.rarity(counts)) * told.text)
    np.testing.assert_allclose(fused(fitted, told, counts), expected, rtol=1e-4, atol=1e-5)


def test_text_is_fitted_only_where_every_set_has_heard_it() -> None:
    said, counts = heard()
    told = replace(said, text=said.base)
    assert fit_fusion([said, told], counts) == fit_fusion([said, said], counts)
    assert fit_fusion([told], counts, with_retrieval=False).text == (0.0, 0.0)
