from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from rac.errors import InputError
from tests.reference.samplers import slow_class_probabilities
from training.crossfit import LabelledFeatures
from training.data import FeatureData
from training.samplers import (
    ClassSampler,
    InstanceSampler,
    Sampling,
    class_probabilities,
    epoch_sampler,
)

COUNTS = [900, 90, 9, 1, 0]


@pytest.fixture
def classes() -> np.ndarray:
    """Forty rows of class 0, nine of class 1, none of class 2 and one of class 3, mixed up."""
    rows = np.repeat([0, 1, 3], [40, 9, 1])
    return np.random.default_rng(0).permutation(rows)


def epochs_of(sampler: ClassSampler | InstanceSampler, *epochs: int) -> list[list[int]]:
    found = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


@pytest.mark.parametrize("sampling", get_args(Sampling))
@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_probabilities_equal_the_slow_loop(sampling: Sampling, progress: float) -> None:
    found = class_probabilities(sampling, COUNTS, progress)
    np.testing.assert_allclose(found, slow_class_probabilities(sampling, COUNTS, progress))
    assert found.sum() == pytest.approx(1.0)


def test_probabilities_worked_by_hand() -> None:
    # Sixteen rows and four: 16/20 and 4/20; roots of 4 and 2, so 4/6 and 2/6; and half each.
    counts = [16, 4, 0]
    np.testing.assert_allclose(class_probabilities("instance", counts), [0.8, 0.2, 0])
    np.testing.assert_allclose(class_probabilities("square-root", counts), [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(class_probabilities("class-balanced", counts), [0.5, 0.5, 0])
    # A quarter of the way: 0.75 * 0.8 + 0.25 * 0.5.
    found = class_probabilities("progressive", counts, 0.25)
    np.testing.assert_allclose(found, [0.725, 0.275, 0])


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="no class"):
        class_probabilities("instance", [0, 0])
    with pytest.raises(InputError, match="progress"):
        class_probabilities("progressive", COUNTS, 1.5)
    with pytest.raises(InputError, match=r"no sampling.*square-root"):
        class_probabilities("cube-root", COUNTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", get_args(Sampling))
def test_rows_are_drawn_by_the_probabilities(sampling: Sampling, classes: np.ndarray) -> None:
    sampler = ClassSampler(classes, sampling, draws=20_000, epochs=3, seed=1)
    sampler.set_epoch(1)
    drawn = np.array(list(sampler))
    assert len(drawn) == len(sampler) == 20_000
    shares = np.bincount(classes[drawn], minlength=4) / len(drawn)
    expected = class_probabilities(sampling, np.bincount(classes), 0.5)
    # Four standard deviations of a share from 20,000 draws are at most 0.0142.
    np.testing.assert_allclose(shares, expected, atol=0.0142)
    # And evenly within a class.
    within = np.bincount(drawn, minlength=len(classes))[classes == 1]
    assert within.min() > 0.7 * within.mean()
    assert within.max() < 1.3 * within.mean()


def test_progressive_goes_from_instances_to_classes(classes: np.ndarray) -> None:
    sampler = ClassSampler(classes, "progressive", draws=5000, epochs=5)
    shares = []
    for epoch in range(7):
        sampler.set_epoch(epoch)
        shares.append(np.mean(classes[list(sampler)] == 3))
    assert shares[0] == pytest.approx(1 / 50, abs=0.01)
    assert shares[4] == pytest.approx(1 / 3, abs=0.03)
    # An epoch behind the last is as balanced as the last.
    assert shares[6] == pytest.approx(1 / 3, abs=0.03)
    assert shares[:5] == sorted(shares[:5])


@pytest.mark.parametrize("sampling", get_args(Sampling))
def test_an_epoch_depends_on_seed_and_number_alone(sampling: Sampling, classes: np.ndarray) -> None:
    """What a resumed fit draws in epoch 3 is what an undisturbed one would have drawn."""

    def sampler(seed: int) -> ClassSampler | InstanceSampler:
        found = epoch_sampler(classes, sampling, batch_size=8, steps=1, epochs=6, seed=seed)
        assert isinstance(found, ClassSampler | InstanceSampler)
        return found

    undisturbed = epochs_of(sampler(5), 0, 1, 2, 3, 4)
    assert epochs_of(sampler(5), 3, 4) == undisturbed[3:]
    assert epochs_of(sampler(5), 4, 0, 0) == [undisturbed[4], undisturbed[0], undisturbed[0]]
    assert len({tuple(epoch) for epoch in undisturbed}) == 5
    assert epochs_of(sampler(6), 0) != undisturbed[:1]


def test_instances_come_once_each_in_the_orders_of_one_stream() -> None:
    generator = np.random.default_rng(7)
    expected = [generator.permutation(30).tolist() for _ in range(3)]
    assert epochs_of(InstanceSampler(30, seed=7), 0, 1, 2) == expected
    assert sorted(expected[2]) == list(range(30))


def test_instances_that_fit_in_a_batch_come_in_their_order() -> None:
    sampler = InstanceSampler(3, repeats=2)
    assert list(sampler) == [0, 1, 2, 0, 1, 2]
    assert len(sampler) == 6


def test_progressive_sampling_needs_an_end(classes: np.ndarray) -> None:
    with pytest.raises(InputError, match="max_epochs"):
        epoch_sampler(classes, "progressive", batch_size=8, steps=1, epochs=-1, seed=0)


def batches(rows: LabelledFeatures, **options: object) -> list[dict[str, torch.Tensor]]:
    data = FeatureData(rows, near_duplicate=0.999, **options)  # type: ignore[arg-type]
    data.setup("fit")
    return list(data.train_dataloader())


def test_batches_by_instance_hold_every_row(long_tail: tuple[Any, ...]) -> None:
    rows = long_tail[0]
    whole = batches(rows, steps_per_epoch=3)
    assert [len(batch["classes"]) for batch in whole] == [64] * 3
    parts = batches(rows, batch_size=30)
    assert [len(batch["classes"]) for batch in parts] == [30, 30, 4]
    together = np.concatenate([batch["classes"].numpy() for batch in parts])
    assert np.bincount(together).tolist() == [40, 15, 6, 2, 1]


def test_batches_by_class_are_balanced(long_tail: tuple[Any, ...]) -> None:
    """A batch of as many draws as there are rows is no shortcut to the rows themselves."""
    found = batches(long_tail[0], steps_per_epoch=20, sampling="class-balanced")
    assert [batch["vectors"].shape[1] for batch in found] == [64] * 20
    shares = np.bincount(np.concatenate([batch["classes"].numpy() for batch in found])) / (64 * 20)
    np.testing.assert_allclose(shares, 0.2, atol=0.05)
    for batch in found:
        assert batch["member"].shape == batch["vectors"].shape[:2]
