"""Each baseline against its formula as a slow loop, and on rows that could break it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eval.baselines import BASELINES, Baseline, Examples, Prompts, Queries
from eval.baselines.class_mean import ClassMean, ClassMeanSetting
from eval.baselines.cosine_head import Descent, adjusted_loss, train_cosine_head
from eval.baselines.gaussian import GaussianDiscriminant, GaussianSetting, shrunk_precision
from eval.baselines.lift import Lift, LiftSetting
from eval.baselines.logistic import Logistic, LogisticSetting
from eval.baselines.nearest import TEMPERATURE, NearestNeighbour, NearestSetting
from eval.baselines.tip_adapter import TipAdapter, TipSetting
from eval.baselines.tip_adapter_f import TipAdapterF, TipTrainedSetting, train_keys
from eval.baselines.whitened_mean import WhitenedMean, WhitenedSetting
from eval.baselines.zero_shot import ZeroShotPrompts, ZeroShotSetting
from retrieval_index.arrays import unit_norm
from retrieval_index.evened import EvenedMetric
from tests.eval.baselines.conftest import CLASSES
from tests.reference.baselines import (
    slow_adjusted_loss,
    slow_cosine,
    slow_discriminant,
    slow_tip_adapter,
    slow_votes,
)

by_name = pytest.mark.parametrize("baseline", BASELINES, ids=lambda one: one.name)


def fit(
    baseline: Baseline[Any], train: Examples, prompts: Prompts, setting: Any, seed: int = 0
) -> Any:
    return baseline.fit(train, prompts, train.counts(CLASSES), setting, seed)


@by_name
def test_every_candidate_gives_scores_for_any_number_of_rows(
    baseline: Baseline[Any], long_tail: Examples, new_rows: Examples, prompts: Prompts
) -> None:
    grid = baseline.grid()
    assert 1 <= len(grid) <= 12
    assert len(set(grid)) == len(grid)
    one_row = new_rows.pick(np.array([3])).queries
    for setting in (grid[0], grid[-1]):
        predict = fit(baseline, long_tail, prompts, setting)
        scores = predict(new_rows.queries)
        assert scores.shape == (45, CLASSES)
        # The class without a row is impossible, or known by its name alone.
        assert np.isfinite(scores[:, :3]).all()
        assert not np.isnan(scores).any()
        np.testing.assert_allclose(predict(one_row), scores[3:4], rtol=1e-4, atol=1e-5)
        assert predict(new_rows.pick(np.zeros(0, np.int64)).queries).shape == (0, CLASSES)


@by_name
def test_what_the_rows_say_is_learnt(
    baseline: Baseline[Any], long_tail: Examples, new_rows: Examples, prompts: Prompts
) -> None:
    best = max(
        (predict(new_rows.queries).argmax(axis=1) == new_rows.classes).mean()
        for predict in baseline.fit_all(
            long_tail, prompts, long_tail.counts(CLASSES), baseline.grid(), 0
        )
    )
    assert best > 0.75


@by_name
def test_fitting_all_is_fitting_each(
    baseline: Baseline[Any], long_tail: Examples, new_rows: Examples, prompts: Prompts
) -> None:
    grid = baseline.grid()
    picked = [grid[0], grid[-1]]
    counts = long_tail.counts(CLASSES)
    together = baseline.fit_all(long_tail, prompts, counts, picked, 3)
    for setting, predict in zip(picked, together, strict=True):
        alone = baseline.fit(long_tail, prompts, counts, setting, 3)
        np.testing.assert_allclose(predict(new_rows.queries), alone(new_rows.queries), rtol=1e-6)


@by_name
def test_only_the_seed_of_a_random_method_matters(
    baseline: Baseline[Any], new_rows: Examples, prompts: Prompts
) -> None:
    repeated = new_rows.pick(np.tile(np.arange(45), 8))  # more than one batch
    setting = baseline.grid()[0]
    first, again, other = (
        fit(baseline, repeated, prompts, setting, seed)(new_rows.queries) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) is not baseline.random


@by_name
@pytest.mark.parametrize("rows", [[0], [0, 20]], ids=["one row", "one row of each class"])
def test_as_few_rows_as_can_be(
    baseline: Baseline[Any],
    rows: list[int],
    long_tail: Examples,
    new_rows: Examples,
    prompts: Prompts,
) -> None:
    few = long_tail.pick(np.array(rows))
    for setting in (baseline.grid()[0], baseline.grid()[-1]):
        scores = fit(baseline, few, prompts, setting)(new_rows.queries)
        assert not np.isnan(scores).any()
        assert np.isfinite(scores[:, : len(rows)]).all()


@pytest.mark.parametrize("k", [1, 4, 50])
def test_votes(k: int, long_tail: Examples, new_rows: Examples, prompts: Prompts) -> None:
    predict = fit(NearestNeighbour(), long_tail, prompts, NearestSetting("trunk", k))
    scores = predict(new_rows.queries)
    heard = min(k, len(long_tail))
    for row in (0, 20, 44):
        expected = slow_votes(
            new_rows.trunk[row],
            long_tail.trunk,
            long_tail.classes.tolist(),
            CLASSES,
            heard,
            TEMPERATURE,
        )
        np.testing.assert_allclose(scores[row, :3], expected[:3], rtol=1e-4)
        assert scores[row, 3] == -np.inf


def test_one_neighbour_by_hand() -> None:
    # The nearest row is of class 1. It has one vote of two; the other is halved: 1/4, 3/4.
    train = Examples(
        np.array([[1, 0], [0, 1]], np.float32), np.eye(2, dtype=np.float32), np.array([0, 1])
    )
    predict = NearestNeighbour().fit(
        train, None, np.array([1, 1]), NearestSetting("trunk", 1), seed=0
    )
    query = Queries(np.array([[1, 9]], np.float32), np.array([[1, 0]], np.float32))
    np.testing.assert_allclose(np.exp(predict(query)), [[0.25, 0.75]], rtol=1e-6)


def test_class_means_by_hand() -> None:
    # Class 0 has the directions (1, 0) and (0, 1): its mean is the diagonal, at 45 degrees to the
    # query; class 1 is the query itself; class 2 has no row.
    train = Examples(
        np.array([[2, 0], [0, 5], [3, 0]], np.float32),
        np.ones((3, 1), np.float32),
        np.array([0, 0, 1]),
    )
    setting = ClassMeanSetting("trunk", centred=False)
    predict = ClassMean().fit(train, None, np.array([2, 1, 0]), setting, seed=0)
    query = Queries(np.array([[7, 0]], np.float32), np.ones((1, 1), np.float32))
    np.testing.assert_allclose(predict(query), [[np.sqrt(0.5), 1.0, -np.inf]], rtol=1e-6)


def test_whitening_hears_the_quiet_direction() -> None:
    """The classes differ in the second direction only; the first is loud within each class."""
    draw = np.random.default_rng(0)
    classes = np.repeat([0, 1], 40)
    loud = np.array([[1.0, 0.0, 0.0]]) * draw.normal(size=(80, 1))
    quiet = np.array([[0.0, 0.1, 0.0]]) * (2 * classes[:, None] - 1)
    rows = (loud + quiet + [0, 0, 5] + 0.01 * draw.normal(size=(80, 3))).astype(np.float32)
    train = Examples(rows, unit_norm(rows), classes)
    counts = np.array([40, 40])
    raw = ClassMean().fit(train, None, counts, ClassMeanSetting("trunk", centred=True), 0)
    white = WhitenedMean().fit(train, None, counts, WhitenedSetting("trunk", False, 0.0), 0)
    right = (white(train.queries).argmax(axis=1) == classes).mean()
    assert right == 1.0
    assert (raw(train.queries).argmax(axis=1) == classes).mean() < right


def test_discriminant(new_rows: Examples, prompts: Prompts) -> None:
    train = new_rows
    counts = np.array([15, 15, 15])
    three = Prompts(prompts.vectors[:3], prompts.scale)
    plain = GaussianDiscriminant().fit(
        train, three, counts, GaussianSetting("embedding", 0.0), seed=0
    )(train.queries)
    both = GaussianDiscriminant().fit(
        train, three, counts, GaussianSetting("embedding", 3.0), seed=0
    )(train.queries)
    rows = train.embedding.astype(np.float64)
    for row in (0, 17, 40):
        expected = slow_discriminant(rows[row], rows, train.classes.tolist(), 3)
        np.testing.assert_allclose(plain[row], expected, rtol=1e-4)
        named = [3.0 * 10.0 * slow_cosine(rows[row], prompt) for prompt in three.vectors]
        np.testing.assert_allclose(both[row], np.add(expected, named), rtol=1e-4, atol=1e-4)


def test_precision_of_rows_that_do_not_spread() -> None:
    np.testing.assert_array_equal(shrunk_precision(np.zeros((3, 2))), np.eye(2))


def test_logistic_regression_is_the_least_loss(new_rows: Examples) -> None:
    """At the optimum the penalised loss has no slope: moving one score a little never helps."""
    counts = np.array([15, 15, 15])
    weak, strong = (
        Logistic().fit(new_rows, None, counts, LogisticSetting("trunk", penalty, False), 0)
        for penalty in (1e-2, 1e-4)
    )
    sure, unsure = (one(new_rows.queries).std() for one in (weak, strong))
    assert sure > 3 * unsure
    balanced = Logistic().fit(
        new_rows.pick(np.r_[0:15, 15:17]),
        None,
        np.array([15, 2, 0]),
        LogisticSetting("trunk", 1e-2, True),
        0,
    )
    scores = balanced(new_rows.pick(np.r_[0:30]).queries)
    assert (scores[:, 2] == -np.inf).all()
    assert (scores.argmax(axis=1)[15:] == 1).mean() > 0.8


def test_tip_adapter(long_tail: Examples, new_rows: Examples, prompts: Prompts) -> None:
    setting = TipSetting(alpha=2.0, beta=5.5)
    scores = fit(TipAdapter(), long_tail, prompts, setting)(new_rows.queries)
    for row in (0, 20, 44):
        expected = slow_tip_adapter(
            new_rows.embedding[row],
            long_tail.embedding,
            long_tail.classes.tolist(),
            prompts.vectors,
            10.0,
            2.0,
            5.5,
        )
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4)


def test_trained_keys_explain_the_training_rows_better(
    long_tail: Examples, prompts: Prompts
) -> None:
    setting = TipTrainedSetting(alpha=1.0, beta=5.5, rate=0.01)
    keys = train_keys(long_tail, prompts, setting, seed=0)
    assert not np.array_equal(keys, long_tail.embedding)

    def loss(predict: Any) -> float:
        scores = predict(long_tail.queries).astype(np.float64)
        own = scores[np.arange(len(long_tail)), long_tail.classes]
        return float((np.log(np.exp(scores).sum(axis=1)) - own).mean())

    trained = fit(TipAdapterF(), long_tail, prompts, setting)
    untrained = fit(TipAdapter(), long_tail, prompts, TipSetting(1.0, 5.5))
    assert loss(trained) < loss(untrained)


def test_adjusted_loss_and_its_slope(long_tail: Examples) -> None:
    draw = np.random.default_rng(5)
    weights = draw.normal(size=(3, 5))
    adjustment = np.log(np.array([20, 7, 1]) / 28).astype(np.float32)
    arguments = (long_tail.embedding, long_tail.classes)
    loss, slope = adjusted_loss(*arguments, weights, adjustment, 8.0)
    expected = slow_adjusted_loss(
        long_tail.embedding, long_tail.classes.tolist(), weights, adjustment.tolist(), 8.0
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for place in ((0, 0), (1, 3), (2, 4)):
        step = np.zeros_like(weights)
        step[place] = 1e-3
        ahead, behind = (
            slow_adjusted_loss(
                long_tail.embedding, long_tail.classes.tolist(), moved, adjustment.tolist(), 8.0
            )
            for moved in (weights + step, weights - step)
        )
        np.testing.assert_allclose(slope[place], (ahead - behind) / 2e-3, rtol=1e-3, atol=1e-5)


def test_the_adjustment_takes_the_side_of_the_rare_class() -> None:
    """Two classes overlap in one dimension of angle; nine rows to one."""
    angles = np.r_[np.linspace(0.2, 1.0, 18), [0.9, 1.1]]
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    classes = np.r_[np.zeros(18, np.int64), [1, 1]]
    first = np.eye(2, dtype=np.float32)
    plain, adjusted = (
        train_cosine_head(rows, classes, first, Descent(10.0, tau, 50)) for tau in (0, 1)
    )
    said = [(rows @ weights.T).argmax(axis=1).sum() for weights in (plain, adjusted)]
    assert said[1] > said[0]


def test_lift_starts_from_the_prompts(
    long_tail: Examples, new_rows: Examples, prompts: Prompts
) -> None:
    zero_shot = prompts.logits(new_rows.queries)
    brief, long = (
        fit(Lift(), long_tail, prompts, LiftSetting(10.0, iterations))(new_rows.queries)
        for iterations in (1, 30)
    )
    assert 0.1 < np.abs(brief - zero_shot).mean() < np.abs(long - zero_shot).mean()
    # The class without a row keeps its prompt.
    np.testing.assert_allclose(long[:, 3], zero_shot[:, 3], rtol=1e-4, atol=1e-5)


def test_zero_shot_is_the_prompts_alone(new_rows: Examples, prompts: Prompts) -> None:
    scores = fit(ZeroShotPrompts(), new_rows, prompts, ZeroShotSetting())(new_rows.queries)
    expected = [10 * slow_cosine(new_rows.embedding[7], one) for one in prompts.vectors]
    np.testing.assert_allclose(scores[7], expected, rtol=1e-4)
    with pytest.raises(ValueError, match="names of the classes"):
        ZeroShotPrompts().fit(new_rows, None, np.array([15] * 4), ZeroShotSetting(), 0)


@pytest.mark.parametrize("shrinkage", [0.0, 0.6])
def test_whitened_means_are_means_under_the_memorys_metric(
    new_rows: Examples, shrinkage: float
) -> None:
    names = [str(number) for number in new_rows.classes]
    metric = EvenedMetric.fit(new_rows.trunk, names, power=1.0, shrinkage=shrinkage)
    mapped = metric.apply(new_rows.trunk)
    means = [mapped[new_rows.classes == number].mean(axis=0) for number in range(3)]
    expected = [[slow_cosine(row, mean) for mean in means] for row in mapped]
    setting = WhitenedSetting("trunk", False, shrinkage)
    predict = WhitenedMean().fit(new_rows, None, np.array([15] * 3), setting, 0)
    np.testing.assert_allclose(predict(new_rows.queries), expected, atol=1e-5)
