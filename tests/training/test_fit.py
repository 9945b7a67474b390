from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rac.classifier import RacClassifier
from rac.errors import InputError
from training.crossfit import LabelledFeatures
from training.fit import fit_classifier


def fit(rows: LabelledFeatures, **options: object) -> RacClassifier:
    settings: dict[str, object] = {"encoder": "toy0", "epochs": 3, "near_duplicate": 0.999}
    return fit_classifier(rows.vectors, rows.labels, rows.ids, rows.texts, **(settings | options))  # type: ignore[arg-type]


def test_a_long_tail_is_learnt(long_tail: tuple) -> None:
    rows, new, truth = long_tail
    output = fit(rows).predict(new)
    assert np.mean([a == b for a, b in zip(output.predicted, truth, strict=True)]) > 0.8
    np.testing.assert_allclose(output.probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_the_same_seed_gives_the_same_bits(long_tail: tuple) -> None:
    rows, new, _ = long_tail
    one, again = (fit(rows, seed=3).predict(new) for _ in range(2))
    assert one.probabilities.tobytes() == again.probabilities.tobytes()
    assert one.base.tobytes() == again.base.tobytes()


def test_written_and_read_again_it_says_the_same_to_the_bit(
    long_tail: tuple, tmp_path: Path
) -> None:
    rows, new, _ = long_tail
    in_ram = fit(rows)
    on_disk = fit(rows, out=tmp_path / "model")
    loaded = RacClassifier.load(tmp_path / "model", encoder="toy0", space="trunk")
    for other in (on_disk, loaded):
        assert in_ram.predict(new).probabilities.tobytes() == (
            other.predict(new).probabilities.tobytes()
        )
    assert loaded.memory.texts[0] == "a c0"
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"config.json", "images.json", "model.safetensors", "memory"}


def test_validation_rows_are_used_and_strange_labels_dropped(long_tail: tuple) -> None:
    rows, new, truth = long_tail
    labels = ["stranger", *truth[1:]]
    classifier = fit(rows, validation=(new, labels))
    assert "val_macro" in classifier.config.metrics
    assert classifier.config.fusion.temperature != 1.0
    assert "stranger" not in classifier.classes


def test_only_singletons_still_give_a_classifier() -> None:
    rows = LabelledFeatures(np.eye(4, dtype=np.float32), list("abcd"), list("1234"))
    output = fit(rows).predict(np.eye(4))
    assert output.predicted == list("abcd")
    assert np.isfinite(output.probabilities).all()


def test_one_class_is_a_clear_error() -> None:
    rows = LabelledFeatures(np.eye(3, dtype=np.float32), ["a"] * 3, list("123"))
    with pytest.raises(InputError, match="at least two classes"):
        fit(rows)


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({"loss": "logit-adjusted", "tau": 2.0}, {"loss": "logit-adjusted"}),
        ({"loss": "focal", "gamma": 0.5}, {"loss": "focal"}),
        ({"loss": "ldam", "margin": 0.1}, {"loss": "ldam"}),
        ({"reweight": "class-balanced"}, {}),
        ({"reweight": "class-balanced", "reweight_from_epoch": 2}, {"reweight": "class-balanced"}),
        ({"sampling": "class-balanced"}, {}),
        ({"sampling": "progressive"}, {"sampling": "class-balanced"}),
        ({"batch_size": 16}, {}),
        ({"learning_rate": 0.01}, {}),
    ],
)
def test_every_setting_of_training_is_heard_and_noted(
    options: dict[str, object], plain: dict[str, object], long_tail: tuple
) -> None:
    rows, _, _ = long_tail
    one, other = fit(rows, **options), fit(rows, **plain)
    assert one.head.directions.tobytes() != other.head.directions.tobytes()
    assert options.items() <= one.config.training.items()


@pytest.mark.parametrize(
    "options", [{"reweight": "balanced"}, {"sampling": "balanced"}, {"loss": "hinge"}]
)
def test_a_name_that_is_none_is_a_clear_error(options: dict[str, object], long_tail: tuple) -> None:
    with pytest.raises(InputError, match=r"balanced|hinge"):
        fit(long_tail[0], **options)
