"""A memory of another encoder than the base branch's, from features to predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rac.branches.base import log_softmax
from rac.branches.retrieval import Lookup
from rac.classifier import RacClassifier
from rac.errors import InputError
from rac.fusion import Heard, fit_fusion, fused
from training.crossfit import LabelledFeatures
from training.fit import fit_classifier
from training.memory_rows import MemoryRows
from training.own_memory import choose_beside, fit_beside

CLASSES = 6


class Shop:
    """Images in twelve dimensions: the base encoder sees six of them, the memory's the others.

    The base encoder was trained on the training rows: there it sees no noise at all.
    """

    def __init__(self, seed: int = 0) -> None:
        self._generator = np.random.default_rng(seed)
        self._centres = self._generator.normal(size=(CLASSES, 12))
        self.train, self.labels = self._draw(20)
        centres = self._centres[np.repeat(np.arange(CLASSES), 20)]
        self.train[:, :6] = centres[:, :6] + 0.05 * self._generator.normal(size=(len(centres), 6))
        self.val, self.val_labels = self._draw(15)
        self.test, self.test_labels = self._draw(60)
        self.ids = [f"r{row}" for row in range(len(self.train))]

    def _draw(self, each: int) -> tuple[np.ndarray, list[str]]:
        truth = np.repeat(np.arange(CLASSES), each)
        noise = self._generator.normal(size=(len(truth), 12))
        return (self._centres[truth] + 0.9 * noise).astype(np.float32), [f"c{c}" for c in truth]

    def memory_rows(self) -> MemoryRows:
        return MemoryRows(
            LabelledFeatures(
                self.train[:, 6:], self.labels, self.ids, hashes=self.hashes("a", 120)
            ),
            LabelledFeatures(
                self.val[:, 6:], self.val_labels, self.hashes("b", 90), hashes=self.hashes("b", 90)
            ),
            encoder="frozen",
            encoder_name="mini",
        )

    def hashes(self, kind: str, rows: int) -> list[str]:
        return [f"{kind}{row:063x}" for row in range(rows)]

    def fit(self, memory_rows: MemoryRows | None, **options: object) -> RacClassifier:
        return fit_classifier(
            self.train[:, :6],
            self.labels,
            self.ids,
            encoder="tuned",
            validation=(self.val[:, :6], self.val_labels),
            memory_rows=memory_rows,
            epochs=2,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


def accuracy(scores: np.ndarray, labels: list[str]) -> float:
    right = [f"c{best}" == name for best, name in zip(scores.argmax(1), labels, strict=True)]
    return float(np.mean(right))


def test_it_adds_what_the_base_branch_does_not_know(shop: Shop) -> None:
    model = shop.fit(shop.memory_rows())
    output = model.predict(shop.test[:, :6], shop.test[:, 6:])
    base, alone = (
        accuracy(output.base, shop.test_labels),
        accuracy(output.retrieval, shop.test_labels),
    )
    fused = accuracy(output.probabilities, shop.test_labels)
    assert fused > max(base, alone) + 0.05
    config = model.config
    assert (config.encoder, config.dim) == ("tuned", 6)
    assert config.memory_encoder is not None
    assert (config.memory_encoder.encoder, config.memory_encoder.encoder_name) == ("frozen", "mini")
    assert model.memory.manifest.encoder == "frozen"
    # What is said of training rows is not asked for: the base encoder knows them by heart.
    assert not any(name.startswith("crossfit") for name in config.metrics)
    assert config.metrics["val_macro"] > config.metrics["val_base_macro"]


def test_the_same_seed_gives_the_same_bits(shop: Shop) -> None:
    asked = shop.test[:, :6], shop.test[:, 6:]
    one, other = (shop.fit(shop.memory_rows()) for _ in range(2))
    assert one.config == other.config
    assert one.predict(*asked).probabilities.tobytes() == (
        other.predict(*asked).probabilities.tobytes()
    )


def test_validation_rows_are_memorised_where_asked(shop: Shop) -> None:
    given = shop.memory_rows()
    plain, full = shop.fit(given), shop.fit(replace(given, memorise_validation=True))
    assert len(plain.memory) == 120
    assert len(full.memory) == 210
    assert full.memory.ids[120:] == given.validation.ids
    assert full.config.training["memorise_validation"] is True
    assert plain.config.training["memorise_validation"] is False
    # By how they find each other they would praise a memory of themselves, so they have no say.
    assert full.config.metrics == plain.config.metrics
    assert full.config.fusion == plain.config.fusion
    hashes = full.memory.rows.column("content_hash").to_pylist()
    assert hashes == [*shop.hashes("a", 120), *shop.hashes("b", 90)]


def test_a_tuned_encoder_s_own_memory_shares_the_metric_of_the_base_branch(shop: Shop) -> None:
    given = shop.memory_rows()
    rows = MemoryRows(
        LabelledFeatures(shop.train[:, :6], shop.labels, shop.ids),
        LabelledFeatures(shop.val[:, :6], shop.val_labels, given.validation.ids),
        encoder="tuned",
        memorise_validation=True,
    )
    model = shop.fit(rows)
    assert model.config.memory_encoder is None
    assert len(model.memory) == 210
    output = model.predict(shop.test[:, :6])
    base, fused = (accuracy(one, shop.test_labels) for one in (output.base, output.probabilities))
    assert fused > base - 0.02


def test_what_cannot_be_fitted_is_refused(shop: Shop) -> None:
    given = shop.memory_rows()
    with pytest.raises(InputError, match=r"--data\.held_out 0\.1"):
        fit_classifier(
            shop.train[:, :6], shop.labels, shop.ids, encoder="tuned", memory_rows=given, epochs=1
        )
    strangers = replace(given.validation, labels=["other"] * 90)
    with pytest.raises(InputError, match="not those of the base branch"):
        shop.fit(replace(given, validation=strangers))
    with pytest.raises(InputError, match="base branch and memory share an encoder"):
        shop.fit(given, text_branch="on")


def test_votes_are_chosen_by_what_they_add() -> None:
    """Two near rows say what the base branch says; only the twenty behind them know better."""
    rows, classes = 60, 3
    truth = np.arange(rows) % classes
    wrong = (truth + 1) % classes
    hard = np.arange(rows) % 2 == 0
    base = np.full((rows, classes), -6.0, np.float32)
    base[np.arange(rows), np.where(hard, wrong, truth)] = -1.0
    base[np.arange(rows), np.where(hard, truth, wrong)] = -1.2
    near = np.repeat(np.where(hard, wrong, truth)[:, None], 2, axis=1)
    far = np.repeat(truth[:, None], 20, axis=1)
    found = Lookup(
        scores=np.repeat(np.linspace(0.9, 0.6, 22, dtype=np.float32)[None], rows, axis=0),
        classes=np.concatenate([near, far], axis=1),
        counts=np.full(classes, 40),
        truth=truth,
        weights=np.ones(rows),
    )
    chosen = choose_beside(base, found, ks=(2, 22, 44), temperatures=(0.5,), gammas=(0.7,))
    assert chosen.k == 22


def heard(rows: int, seed: int = 0) -> Heard:
    """A base branch that is right about three rows of four, and votes that know nothing."""
    generator = np.random.default_rng(seed)
    truth = np.arange(rows) % 4
    base = generator.normal(size=(rows, 4)).astype(np.float32)
    base[np.arange(rows), truth] += 2.5
    votes = generator.normal(size=(rows, 4)).astype(np.float32)
    return Heard(log_softmax(base), log_softmax(votes), truth, np.ones(rows))


def test_votes_that_know_nothing_leave_the_base_branch_alone() -> None:
    counts = np.full(4, 30)
    beside, free = fit_beside(heard(60), counts), fit_fusion([heard(60)], counts)
    assert abs(beside.weights[2]) < 0.2
    assert abs(beside.weights[2]) < abs(free.weights[2])
    assert beside.weights[0] > 0.7


def test_votes_that_know_something_are_heard_by_the_rows_that_say_so() -> None:
    one, counts = heard(200), np.full(4, 30)
    votes = np.full((200, 4), -3.0, np.float32)
    votes[np.arange(200), one.truth] = -0.2
    told = replace(one, retrieval=votes)
    fusion = fit_beside(told, counts)
    assert (one.base.argmax(1) == one.truth).mean() < 0.95
    assert (fused(fusion, told, counts).argmax(1) == one.truth).all()
    # Rows without a weight have no say, whatever they are.
    silent = replace(
        told,
        base=np.concatenate([told.base, told.base]),
        retrieval=np.concatenate([votes, -votes]),
        truth=np.tile(told.truth, 2),
        weights=np.repeat([1.0, 0.0], 200),
    )
    np.testing.assert_allclose(fit_beside(silent, counts).weights, fusion.weights, atol=1e-6)
