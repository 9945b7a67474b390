from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rac.branches.base import log_softmax
from rac.classifier import EmptyMemoryWarning, RacClassifier
from rac.fusion import Heard
from rac.text_vectors import TextVectors, read_texts
from retrieval_index import Memory, make_rows
from retrieval_index.arrays import unit_norm
from training.crossfit import LabelledFeatures
from training.fit import fit_classifier
from training.texts import text_pays


class Words:
    """Reads a text as the sum of a random vector for each word; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return unit_norm(np.stack([self._read(text) for text in texts]))

    def encode_prompts(self, names: Sequence[str]) -> np.ndarray:
        return self.encode_texts(names)

    def _read(self, text: str) -> np.ndarray:
        seeds = [sum(map(ord, word)) for word in text.split()]
        return np.sum([np.random.default_rng(seed).normal(size=6) for seed in seeds], axis=0)


def fit(rows: LabelledFeatures, text_branch: str, **options: object) -> RacClassifier:
    vectors = read_texts(Words(), rows.labels, rows.texts)
    settings = {"encoder": "toy0", "epochs": 2, "near_duplicate": 0.999, "text_vectors": vectors}
    return fit_classifier(
        rows.vectors,
        rows.labels,
        rows.ids,
        rows.texts,
        text_branch=text_branch,
        **settings,
        **options,
    )


def test_each_name_and_caption_is_read_once() -> None:
    encoder = Words()
    found = read_texts(encoder, ["a_b", "c", "a_b", "c"], ["red", None, "red", ""])
    assert encoder.asked == ["a b", "c", "red"]
    assert set(found.names) == {"a_b", "c"}
    assert found.captions is not None
    np.testing.assert_array_equal(found.captions[0], found.captions[2])
    np.testing.assert_allclose(np.linalg.norm(found.captions, axis=1), [1, 0, 1, 0], atol=1e-6)
    assert read_texts(encoder, ["a", "b"], None).captions is None


def judged(hint: float) -> tuple[Heard, np.ndarray, np.ndarray]:
    """Rows whose text says ``hint`` for the right class, on top of noise."""
    generator = np.random.default_rng(0)
    truth = np.arange(400) % 4
    base, retrieval, text = generator.normal(size=(3, 400, 4))
    base[np.arange(400), truth] += 2
    text[np.arange(400), truth] += hint
    said = [log_softmax(one) for one in (base, retrieval, text)]
    heard = Heard(said[0], said[1], truth, np.ones(400), said[2])
    return heard, generator.integers(0, 4, 400), np.array([9, 5, 3, 2])


def test_text_pays_where_it_helps_in_every_kind_of_rows() -> None:
    helps, folds, counts = judged(2.0)
    misleads, _, _ = judged(-2.0)
    assert text_pays([helps], folds, counts)
    assert text_pays([helps, helps], folds, counts)
    # What is learnt on the training rows is wrong about the validation rows.
    assert not text_pays([helps, misleads], folds, counts)
    silent = replace(helps, text=np.full_like(helps.base, np.log(0.25)))
    assert not text_pays([silent], folds, counts)
    nobody = replace(helps, weights=np.zeros(400))
    assert not text_pays([nobody], folds, counts)


def test_on_off_and_auto(long_tail: tuple) -> None:
    rows, new, _ = long_tail
    on, off, auto = (fit(rows, mode).predict(new) for mode in ("on", "off", "auto"))
    bare = fit_classifier(
        rows.vectors, rows.labels, rows.ids, encoder="toy0", epochs=2, near_duplicate=0.999
    )
    assert on.text is not None
    assert off.text is None
    assert off.probabilities.tobytes() == bare.predict(new).probabilities.tobytes()
    assert on.base.tobytes() == off.base.tobytes()
    chosen = off if auto.text is None else on
    assert auto.probabilities.tobytes() == chosen.probabilities.tobytes()


def test_with_text_a_run_is_repeated_to_the_bit_also_from_its_folder(
    long_tail: tuple, tmp_path: Path
) -> None:
    rows, new, truth = long_tail
    one = fit(rows, "on", validation=(new, truth))
    two = fit(rows, "on", validation=(new, truth), out=tmp_path / "model")
    loaded = RacClassifier.load(tmp_path / "model")
    said = one.predict(new).probabilities.tobytes()
    assert two.predict(new).probabilities.tobytes() == said
    assert loaded.predict(new).probabilities.tobytes() == said
    assert loaded.config.text is not None
    assert loaded.memory.text_dim == 6
    assert {"crossfit_text_macro", "val_text_macro"} <= set(loaded.config.metrics)


def test_with_text_an_emptied_memory_leaves_the_base_branch(long_tail: tuple) -> None:
    rows, new, _ = long_tail
    model = fit(rows, "on")
    metric = model.memory.metric
    empty = Memory.in_ram(np.empty((0, 12)), make_rows([]), encoder="toy0", metric=metric)
    with pytest.warns(EmptyMemoryWarning, match="base branch answers alone"):
        output = model.with_memory(empty).predict(new)
    assert output.branches == "base"
    assert output.text is None


def test_names_alone_are_heard_too(long_tail: tuple) -> None:
    rows, new, _ = long_tail
    vectors = read_texts(Words(), rows.labels, None)
    model = fit_classifier(
        rows.vectors,
        rows.labels,
        rows.ids,
        encoder="toy0",
        epochs=2,
        text_vectors=TextVectors(vectors.names, None),
        text_branch="on",
    )
    assert model.memory.text_dim is None
    assert model.predict(new).text is not None


def test_of_too_many_rows_some_are_asked(long_tail: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, new, _ = long_tail
    monkeypatch.setattr("training.texts.MOST_NUMBERS", 100)
    output = fit(rows, "on").predict(new)
    assert output.text is not None
    monkeypatch.setattr("training.texts.MOST_NUMBERS", 600)
    helps, folds, counts = judged(2.0)
    assert text_pays([helps], folds, counts)
