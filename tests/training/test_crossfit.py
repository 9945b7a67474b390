from __future__ import annotations

import numpy as np
import pytest

from rac.errors import InputError
from training.crossfit import LabelledFeatures, cross_fit
from training.folds import assign_folds


def test_each_class_is_spread_evenly() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    classes = np.repeat([0, 1, 2], [16, 10, 4])
    folds = assign_folds(vectors, classes, 4, near_duplicate=0.99, seed=0)
    for index, most in ((0, 4), (1, 3), (2, 1)):
        amounts = np.bincount(folds[classes == index], minlength=4)
        assert amounts.max() <= most
    assert np.bincount(folds, minlength=4).max() <= 9


def test_near_duplicates_share_a_fold_through_a_chain() -> None:
    # Neighbouring directions are 5 degrees apart (cosine 0.9962), the ends 10 (0.9848).
    angles = np.radians([0, 5, 10, 90, 180, 270])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    for seed in range(5):
        folds = assign_folds(vectors, np.zeros(6, np.int64), 3, near_duplicate=0.99, seed=seed)
        assert len(set(folds[:3])) == 1
        assert len(set(folds)) == 3


def test_the_seed_decides() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    classes = np.zeros(40, np.int64)
    one, again, other = (
        assign_folds(vectors, classes, 4, near_duplicate=0.99, seed=seed) for seed in (1, 1, 2)
    )
    assert (one == again).all()
    assert (one != other).any()


def test_no_head_learns_from_the_fold_it_judges(long_tail: tuple) -> None:
    rows, _, _ = long_tail
    fitted = cross_fit(rows, folds=3, near_duplicate=0.999, seed=0)
    assert fitted.mapped.shape == (4, len(rows), 12)
    assert fitted.member[0].all()
    own = fitted.member[fitted.folds + 1, np.arange(len(rows))]
    assert not own.any()
    assert (fitted.counts.sum(axis=1) == fitted.member.sum(axis=1)).all()


def test_singletons_cannot_be_found_and_are_said_so(long_tail: tuple) -> None:
    rows, _, _ = long_tail
    fitted = cross_fit(rows, folds=3, near_duplicate=0.999, seed=0)
    single = np.array([label == "c4" for label in rows.labels])
    assert not fitted.findable[single].any()
    assert fitted.findable[~single].all()


def test_an_encoder_to_which_all_is_alike_does_not_empty_the_folds() -> None:
    """Were every class one cluster of near-duplicates, nothing could be cross-fitted at all."""
    vectors = np.ones((20, 4), np.float32) + 1e-4 * np.eye(20, 4, dtype=np.float32)
    rows = LabelledFeatures(vectors, ["a", "b"] * 10, [str(row) for row in range(20)])
    fitted = cross_fit(rows, folds=4, near_duplicate=0.97, seed=0)
    assert fitted.findable.all()


def test_one_class_is_refused() -> None:
    rows = LabelledFeatures(np.eye(3, dtype=np.float32), ["a"] * 3, ["1", "2", "3"])
    with pytest.raises(InputError, match=r"at least two classes.*only 'a'"):
        cross_fit(rows, folds=2, near_duplicate=0.97, seed=0)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="3 rows of features but 2 labels"):
        LabelledFeatures(np.eye(3, dtype=np.float32), ["a", "b"], ["1", "2", "3"])
