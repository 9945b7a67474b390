from __future__ import annotations

import numpy as np
import pytest

from eval.errors import ReportFault
from eval.metrics import (
    accuracy,
    best_classes,
    class_scores,
    confusion_matrix,
    confusions,
    label_ranks,
    macro_accuracy,
    top_k_accuracy,
)
from tests.reference import figures

CASES = [(0, 200, 7, 7), (1, 40, 12, 5), (2, 30, 1, 1), (3, 1, 4, 4), (4, 300, 40, 40)]


def draw(seed, rows, classes, tested):
    rng = np.random.default_rng(seed)
    return rng, rng.integers(0, tested, rows), rng.integers(0, classes, rows)


def known(values):
    return [None if np.isnan(value) else pytest.approx(value) for value in values]


@pytest.mark.parametrize(("seed", "rows", "classes", "tested"), CASES)
def test_class_scores_are_those_of_the_loop(seed, rows, classes, tested):
    _, labels, given = draw(seed, rows, classes, tested)
    scores = class_scores(labels, given, classes)
    assert figures.recall_by_class(labels, given, classes) == known(scores.recall)
    assert figures.precision_by_class(labels, given, classes) == known(scores.precision)
    assert figures.f1_by_class(labels, given, classes) == known(scores.f1)
    macro = figures.mean_of_known(figures.recall_by_class(labels, given, classes))
    assert macro_accuracy(labels, given, classes) == pytest.approx(macro)
    assert accuracy(labels, given) == pytest.approx(figures.share(list(labels == given)))


@pytest.mark.parametrize(("seed", "rows", "classes", "tested"), CASES)
def test_confusions_are_those_of_the_loop(seed, rows, classes, tested):
    _, labels, given = draw(seed, rows, classes, tested)
    found = confusions(labels, given, classes)
    triples = list(zip(found.labels, found.predictions, found.counts, strict=True))
    assert triples == figures.pairs(labels.tolist(), given.tolist())
    matrix = confusion_matrix(labels, given, classes)
    assert matrix.sum() == rows
    assert all(matrix[y, p] == n for y, p, n in triples)


@pytest.mark.parametrize(("seed", "rows", "classes", "tested"), CASES)
def test_ranks_are_those_of_a_full_sort_with_many_ties(seed, rows, classes, tested):
    rng, labels, _ = draw(seed, rows, classes, tested)
    scores = rng.integers(-2, 2, (rows, classes)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    expected = figures.ranks(scores.tolist(), labels.tolist())
    assert label_ranks(scores, labels).tolist() == expected
    for k in (1, 2, 5, classes + 3):
        assert top_k_accuracy(scores, labels, k) == pytest.approx(
            figures.share([rank < k for rank in expected])
        )


def test_block_size_changes_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    scores, labels = rng.integers(0, 3, (101, 9)).astype(float), rng.integers(0, 9, 101)
    whole = label_ranks(scores, labels)
    monkeypatch.setattr("eval.metrics._BLOCK_CELLS", 20)
    assert label_ranks(scores, labels).tolist() == whole.tolist()


def test_a_negative_score_can_be_a_hit():
    """torchmetrics' functional recall counts hits of score <= 0 as misses; cosines can be so."""
    assert top_k_accuracy(np.array([[-0.9, -0.1]]), [1], k=1) == 1.0


def test_label_ids_above_2_to_the_24_stay_apart():
    """As float32, 2^24 and 2^24 + 1 are one number: a cast would call this row right."""
    big = 2**24
    assert np.float32(big) == np.float32(big + 1)
    assert accuracy([big, big + 1], [big, big]) == 0.5
    found = confusions([big, big + 1], [big + 1, big + 1], big + 2)
    assert sorted(found.labels.tolist()) == [big, big + 1]
    with pytest.raises(ReportFault, match="integers"):
        accuracy(np.array([big, big + 1], dtype=np.float32), [big, big])


def test_nothing_is_none_and_not_zero():
    assert accuracy([], []) is None
    assert macro_accuracy([], [], 3) is None
    assert top_k_accuracy(np.zeros((0, 3)), [], 2) is None
    assert np.isnan(class_scores([], [], 2).recall).all()


def test_row_without_a_prediction_is_wrong_and_predicts_no_class():
    scores = class_scores([0, 1], [-1, 1], 2)
    assert scores.recall.tolist() == [0.0, 1.0]
    assert scores.predicted.tolist() == [0, 1]


def test_row_of_minus_infinity_has_no_best_class():
    assert best_classes(np.full((1, 3), -np.inf)).tolist() == [-1]


@pytest.mark.parametrize(("labels", "given"), [([0, 3], [0, 0]), ([0, -1], [0, 0]), ([0], [0, 1])])
def test_indices_outside_the_classes_are_refused(labels, given):
    with pytest.raises(ReportFault):
        class_scores(labels, given, 3)
