"""What is chosen, on which rows, and how sure the probabilities are afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from eval.baselines import Baseline, Examples, Predictor, Prompts, Queries, tune
from eval.baselines.folds import image_folds
from eval.baselines.nearest import NearestNeighbour
from eval.baselines.temperature import best_temperature, log_loss, softened


@dataclass(frozen=True)
class Wanted:
    """Which column of the trunk is shown as the class."""

    column: int


class Oracle(Baseline[Wanted]):
    """Reads the class out of a column of the trunk; notes which rows it was fitted to."""

    name = "oracle"

    def __init__(self, columns: Sequence[int]) -> None:
        self.columns = columns
        self.fitted_to: list[set[float]] = []
        self.asked: list[set[float]] = []

    def grid(self) -> Sequence[Wanted]:
        return [Wanted(column) for column in self.columns]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: np.ndarray,
        setting: Wanted,
        seed: int,
    ) -> Predictor:
        self.fitted_to.append(set(train.trunk[:, 2].tolist()))

        def predict(queries: Queries) -> np.ndarray:
            self.asked.append(set(queries.trunk[:, 2].tolist()))
            wanted = queries.trunk[:, setting.column, None]
            return -np.abs(wanted - np.arange(len(counts))) * 5.0

        return predict


def labelled(classes: list[int], *, items: list[int] | None = None, first: int = 0) -> Examples:
    """Trunk columns: the wrong class, the right class, the row's number."""
    numbers = np.array(classes)
    trunk = np.stack([1 - numbers, numbers, first + np.arange(len(numbers))], axis=1)
    return Examples(
        trunk.astype(np.float32),
        np.ones((len(numbers), 2), np.float32),
        numbers,
        None if items is None else np.array(items),
    )


def test_the_setting_comes_from_validation_rows() -> None:
    train, validation = labelled([0, 0, 1]), labelled([0, 1, 1, 0], first=100)
    oracle = Oracle([0, 1])
    tuned = tune(oracle, train, validation, None, np.array([2, 1]), seed=0)
    assert tuned.setting == Wanted(1)
    assert tuned.macro == 1.0
    assert oracle.fitted_to == [{0.0, 1.0, 2.0}] * 2
    assert oracle.asked == [{100.0, 101.0, 102.0, 103.0}] * 2


def test_without_validation_rows_an_image_is_judged_by_a_fit_that_did_not_see_it() -> None:
    # Five images of class 0 (two of them with two views), one of class 1: it stays in training.
    items = [3, 3, 5, 6, 6, 7, 8, 9]
    train = labelled([0, 0, 0, 0, 0, 0, 0, 1], items=items)
    oracle = Oracle([1])
    tuned = tune(oracle, train, None, None, train.counts(2), seed=0)
    assert tuned.setting == Wanted(1)
    judged: set[float] = set()
    for fitted, asked in zip(oracle.fitted_to, oracle.asked, strict=True):
        seen = {items[int(row)] for row in fitted}
        held = {items[int(row)] for row in asked}
        assert not seen & held
        assert 9 in seen
        judged |= asked
    assert judged == set(range(7))


def test_nothing_to_judge_by_takes_the_first_candidate() -> None:
    tuned = tune(Oracle([0, 1]), labelled([0, 1]), None, None, np.array([1, 1]), seed=0)
    assert (tuned.setting, tuned.temperature, tuned.macro) == (Wanted(0), 1.0, None)


def test_of_equal_macro_accuracy_the_surer_one_is_taken_then_the_first() -> None:
    validation = labelled([0, 1, 0, 1])
    tuned = tune(Oracle([1, 1]), labelled([0, 1]), validation, None, np.array([1, 1]), seed=0)
    assert tuned.setting == Wanted(1)


def test_counts_are_of_images_not_of_views() -> None:
    train = labelled([0, 0, 0, 1], items=[4, 4, 5, 6])
    assert train.counts(3).tolist() == [2, 1, 0]
    assert labelled([0, 0, 0, 1]).counts(3).tolist() == [3, 1, 0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_folds_are_even_and_keep_images_whole(seed: int) -> None:
    sizes = [1, 2, 3, 10, 25]
    image_class = np.repeat(np.arange(5), sizes)
    images = np.repeat(np.arange(len(image_class)), 2)  # two views of each
    folds = image_folds(image_class[images], images, 3, seed)
    for image in range(len(image_class)):
        assert len(set(folds[images == image])) == 1
    assert (folds[image_class[images] == 0] == -1).all()
    for number, size in enumerate(sizes[1:], 1):
        shares = np.bincount(folds[image_class[images] == number], minlength=3) / 2
        assert shares.sum() == size
        assert shares.max() - shares.min() <= 1
    shares = np.bincount(folds[folds >= 0], minlength=3)
    assert shares.max() - shares.min() <= 2
    assert not np.array_equal(folds, image_folds(image_class[images], images, 3, seed + 10))


def test_the_temperature_by_hand() -> None:
    # Scores (1, 0), right three times of four: 1 / T must be the log-odds of 3 to 1.
    scores = np.array([[1.0, 0.0]] * 4)
    found = best_temperature(scores, np.array([0, 0, 0, 1]))
    assert found == pytest.approx(1 / math.log(3), rel=1e-3)
    np.testing.assert_allclose(softened(scores, found)[0], [0.75, 0.25], atol=1e-3)


def test_the_temperature_undoes_any_scale() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(300, 4))
    classes = np.array([draw.choice(4, p=softened(row[None], 1.0)[0]) for row in scores])
    once = best_temperature(scores, classes)
    assert once == pytest.approx(1.0, abs=0.25)
    for factor in (1e-4, 50.0, 1e5):
        assert best_temperature(factor * scores, classes) == pytest.approx(factor * once, rel=1e-2)


def test_impossible_classes_and_equal_scores_are_borne() -> None:
    scores = np.array([[0.0, 1.0, -np.inf], [2.0, 0.0, -np.inf]])
    assert best_temperature(scores, np.array([1, 0])) > 0
    assert math.isfinite(log_loss(scores, np.array([2, 0]), 1.0))
    assert best_temperature(np.zeros((3, 2)), np.array([0, 1, 1])) == 1.0


def test_tuning_a_real_method_twice_gives_the_same(long_tail: Examples) -> None:
    counts = long_tail.counts(4)
    first, again = (tune(NearestNeighbour(), long_tail, None, None, counts, 0) for _ in range(2))
    assert first == again
    assert first.macro is not None
    assert first.macro > 0.5
