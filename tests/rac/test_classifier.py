from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from rac.branches.base import CosineHead, class_means
from rac.branches.text import prototypes, snippets
from rac.classifier import (
    EmptyMemoryWarning,
    RacClassifier,
    metric_digest,
    to_predictions,
)
from rac.errors import InputError
from rac.model_config import ClassifierConfig, FusionConfig, MemoryEncoder, TextConfig
from rac.tables import Item
from retrieval_index import EncoderMismatch, EvenedMetric, Memory, make_rows
from retrieval_index.arrays import unit_norm

CLASSES = ("apple", "pear", "plum")
COUNTS = (12, 6, 2)


def classifier(metric: EvenedMetric | None = None) -> RacClassifier:
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], COUNTS)
    vectors = (4 * np.eye(3, 6)[truth] + generator.normal(size=(20, 6))).astype(np.float32)
    labels = [CLASSES[index] for index in truth]
    metric = metric or EvenedMetric.fit(vectors, labels)
    weights = {"centre": 1.5, "spread": 0.7, "temperature": 1.2}
    config = ClassifierConfig(
        classes=CLASSES,
        train_counts=COUNTS,
        encoder="toy0",
        space="trunk",
        dim=6,
        k=5,
        temperature=0.1,
        gamma=0.7,
        fusion=FusionConfig(weights=(1.0, 0.1, 0.5, -0.1, -0.2), **weights),
        fallback=FusionConfig(weights=(1.0, 0.0, 0.0, 0.0, -0.2), **weights),
        metric_sha256=metric_digest(metric),
    )
    head = CosineHead(class_means(metric.apply(vectors), truth, 3), 10.0)
    ids = [f"r{row}" for row in range(20)]
    rows = make_rows(ids, labels=labels, sources=[f"{id}.png" for id in ids])
    memory = Memory.in_ram(vectors, rows, encoder="toy0", metric=metric)
    return RacClassifier(config, head, memory)


def with_text() -> RacClassifier:
    """The same model with a text branch; the captions of its rows are vectors of their own."""
    model = classifier()
    generator = np.random.default_rng(7)
    names = unit_norm(generator.normal(size=(3, 4)))
    captions = unit_norm(generator.normal(size=(20, 4)))
    own = snippets(names, captions, model.memory_classes)
    memory = Memory.in_ram(
        model.memory.vectors,
        model.memory.rows,
        encoder="toy0",
        metric=model.memory.metric,
        texts=captions,
    )
    config = model.config.model_copy(
        update={
            "text": TextConfig(dim=4, temperature=0.1, scale=10.0),
            "fusion": model.config.fusion.model_copy(update={"text": (0.8, 0.1)}),
        }
    )
    return RacClassifier(
        config,
        model.head,
        memory,
        text_names=names,
        text_prototypes=prototypes(names, own, model.memory_classes),
    )


def with_memory_of_another_encoder() -> RacClassifier:
    """The same base branch over a memory of another encoder, whose features have 5 dimensions."""
    model = classifier()
    vectors = other_features(model.memory.vectors)
    metric = EvenedMetric.fit(vectors, list(model.memory.labels))
    memory = Memory.in_ram(
        vectors, model.memory.rows, encoder="other1", space="embedding", metric=metric
    )
    config = model.config.model_copy(
        update={
            "memory_encoder": MemoryEncoder(
                encoder="other1", encoder_name="other", space="embedding", dim=5
            ),
            "metric_sha256": metric_digest(metric),
        }
    )
    return RacClassifier(config, model.head, memory, base_metric=model.memory.metric)


def other_features(vectors: np.ndarray) -> np.ndarray:
    """What another encoder makes of the same images: some of the same, turned."""
    turned: np.ndarray = vectors[:, :5] @ np.linalg.qr(np.arange(25.0).reshape(5, 5) ** 2)[0]
    return turned.astype(np.float32)


def queries(rows: int = 9) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(rows, 6)).astype(np.float32)


def without_rows(model: RacClassifier) -> Memory:
    return Memory.in_ram(
        np.empty((0, 6)), make_rows([]), encoder="toy0", metric=model.memory.metric
    )


def test_output_has_the_shapes_it_says() -> None:
    output = classifier().predict(queries())
    for scores in (output.probabilities, output.base, output.retrieval):
        assert scores.shape == (9, 3)
        assert scores.dtype == np.float32
    np.testing.assert_allclose(output.probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert output.neighbours.rows.shape == (9, 5)
    assert output.branches == "fused"
    assert output.predicted[0] in CLASSES


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, many = classifier(), queries(50)
    whole = model.predict(many)
    monkeypatch.setattr("rac.classifier._CHUNK_ROWS", 7)
    parts = model.predict(many)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, rtol=1e-5)
    assert (parts.neighbours.rows == whole.neighbours.rows).all()


def test_no_queries_give_empty_arrays() -> None:
    output = classifier().predict(np.empty((0, 6)))
    assert output.probabilities.shape == (0, 3)
    assert output.predicted == []


def test_saved_and_loaded_it_is_equal_to_the_bit(tmp_path: Path) -> None:
    model = classifier()
    model.save(tmp_path / "model")
    loaded = RacClassifier.load(tmp_path / "model", encoder="toy0", space="trunk")
    one, other = model.predict(queries()), loaded.predict(queries())
    for name in ("probabilities", "base", "retrieval"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert loaded.config.fusion == model.config.fusion


def test_arrays_are_saved_as_they_are_however_they_lie_in_memory(tmp_path: Path) -> None:
    """Guards against safetensors: of a strided array it writes the memory beneath, silently."""
    from safetensors.numpy import load, save

    plain = with_memory_of_another_encoder()
    metric = plain.base_metric
    strided = EvenedMetric(metric.power, metric.mean, np.asfortranarray(metric.transform))
    beneath = load(save({"transform": strided.transform}))["transform"]
    assert not np.array_equal(beneath, metric.transform), "the case is none: this array is saved"
    wide = np.zeros((3, 12), dtype=np.float32)
    wide[:, ::2] = plain.head.directions
    head = CosineHead(wide[:, ::2], plain.head.scale)
    model = RacClassifier(plain.config, head, plain.memory, base_metric=strided)
    model.save(tmp_path / "model")
    loaded = RacClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.base_metric.transform, metric.transform)
    np.testing.assert_array_equal(loaded.head.directions, plain.head.directions)
    assert loaded.base_metric.power == metric.power
    said = with_text()
    assert said.text is not None
    texts = {
        "text_names": np.asfortranarray(said.text.names),
        "text_prototypes": np.asfortranarray(said.text.prototypes),
    }
    RacClassifier(said.config, said.head, said.memory, **texts).save(tmp_path / "said")
    again = RacClassifier.load(tmp_path / "said")
    assert again.text is not None
    np.testing.assert_array_equal(again.text.names, said.text.names)
    np.testing.assert_array_equal(again.text.prototypes, said.text.prototypes)


def test_an_emptied_memory_leaves_the_base_branch_and_says_so(tmp_path: Path) -> None:
    model = classifier()
    alone = model.with_memory(without_rows(model))
    alone.save(tmp_path / "model")
    with pytest.warns(EmptyMemoryWarning, match="base branch answers alone"):
        output = RacClassifier.load(tmp_path / "model").predict(queries())
    assert output.branches == "base"
    assert (output.base == model.predict(queries()).base).all()
    assert (output.retrieval == -np.inf).all()
    assert (output.neighbours.rows == -1).all()
    np.testing.assert_allclose(output.probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_rows_added_to_the_memory_change_predictions_without_training() -> None:
    model, near = classifier(), queries(1)
    before = model.predict(near).probabilities[0]
    rows = make_rows([f"new{copy}" for copy in range(5)], labels=["plum"] * 5)
    grown = model.with_memory(model.memory.add(np.repeat(near, 5, axis=0), rows))
    after = grown.predict(near).probabilities[0]
    assert after[2] > before[2]
    assert grown.memory_counts.tolist() == [12, 6, 7]


def test_rows_of_unknown_classes_are_not_heard() -> None:
    model, near = classifier(), queries(1)
    rows = make_rows(["x", "y"], labels=["quince", None])
    grown = model.with_memory(model.memory.add(np.repeat(near, 2, axis=0), rows))
    assert grown.memory_counts.tolist() == list(COUNTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(grown.predict(near).probabilities).all()


def test_identities_are_checked(tmp_path: Path) -> None:
    model = classifier()
    model.save(tmp_path / "model")
    with pytest.raises(EncoderMismatch, match="encoder differs"):
        RacClassifier.load(tmp_path / "model", encoder="other")
    with pytest.raises(EncoderMismatch, match="space differs"):
        RacClassifier.load(tmp_path / "model", space="embedding")
    vectors = np.random.default_rng(9).normal(size=(20, 6))
    foreign = Memory.in_ram(
        vectors, model.memory.rows, encoder="toy0", metric=EvenedMetric.fit(vectors)
    )
    with pytest.raises(InputError, match="its metric is not the one"):
        model.with_memory(foreign)


def without_digest(folder: Path) -> dict[str, object]:
    """What a program of format version 3 has written there."""
    config: dict[str, object] = json.loads((folder / "config.json").read_text())
    del config["config_sha256"]
    return config | {"format_version": 3}


def test_damage_is_refused(tmp_path: Path) -> None:
    folder = classifier().save(tmp_path / "model")
    with pytest.raises(InputError, match=r"no config\.json"):
        RacClassifier.load(tmp_path)

    config = without_digest(folder)
    for change, message in (
        ({"surprise": 1}, "surprise"),
        ({"format_version": 5}, "version 5"),
        ({"classes": ["a", "a", "b"]}, "named twice"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(InputError, match=message):
            RacClassifier.load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match="not the configuration"):
        RacClassifier.load(folder)

    (folder / "config.json").write_text(json.dumps(config))
    tensors = folder / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match="vouches for"):
        RacClassifier.load(folder)


def test_predictions_carry_neighbours_and_leave_bad_images_open() -> None:
    model = classifier()
    items = [Item(f"q{row}", f"{row}.png", None, None) for row in range(3)]
    predictions = to_predictions(
        model.predict(queries(3)),
        items,
        ["apple", "quince", None],
        "toy",
        model=model,
        ok=np.array([True, True, False]),
    )
    assert predictions.label_cells == ("apple", None, None)
    assert predictions.predictions[2] is None
    assert predictions.confidence is not None
    assert np.isnan(predictions.confidence[2])
    assert predictions.metadata["labels_without_class"] == ["quince"]
    assert predictions.neighbour_ids is not None
    assert len(predictions.neighbour_ids[0]) == 5
    assert predictions.neighbour_images is not None
    assert predictions.neighbour_images[0][0] == f"{predictions.neighbour_ids[0][0]}.png"


def test_text_is_heard_and_leaves_the_other_branches_as_they_are(tmp_path: Path) -> None:
    plain, told = classifier().predict(queries()), with_text().predict(queries())
    assert plain.text is None
    assert told.text is not None
    np.testing.assert_allclose(np.exp(told.text).sum(axis=1), 1.0, rtol=1e-5)
    assert told.base.tobytes() == plain.base.tobytes()
    assert told.retrieval.tobytes() == plain.retrieval.tobytes()
    assert not np.allclose(told.probabilities, plain.probabilities, atol=1e-3)

    with_text().save(tmp_path / "model")
    loaded = RacClassifier.load(tmp_path / "model")
    assert loaded.predict(queries()).probabilities.tobytes() == told.probabilities.tobytes()
    assert loaded.memory.text_dim == 4


def test_with_text_an_emptied_memory_leaves_the_base_branch_too() -> None:
    model = with_text()
    with pytest.warns(EmptyMemoryWarning, match="base branch answers alone"):
        output = model.with_memory(without_rows(model)).predict(queries())
    alone = classifier().with_memory(without_rows(model))
    with pytest.warns(EmptyMemoryWarning):
        expected = alone.predict(queries())
    assert output.text is None
    assert output.branches == "base"
    assert output.probabilities.tobytes() == expected.probabilities.tobytes()


def test_captions_of_added_rows_are_heard_without_training() -> None:
    # Both rows lie where the query does and are pears; one is described as plums are.
    model, near = with_text(), queries(1)
    rows = make_rows(["new"], labels=["pear"])
    text = model.text
    assert text is not None
    said = []
    for place in (1, 2):
        caption = text.prototypes[[place]]
        grown = model.with_memory(model.memory.add(near, rows, texts=caption))
        output = grown.predict(near)
        assert output.text is not None
        said.append(output.text[0])
    assert said[1][2] > said[0][2] + 0.1
    bare = model.with_memory(model.memory.delete(["r0", "r19"]).add(near, rows))
    assert np.isfinite(bare.predict(queries()).probabilities).all()


def test_a_folder_of_format_version_1_is_read(tmp_path: Path) -> None:
    model = classifier()
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    del config["text"], config["fusion"]["text"], config["fallback"]["text"]
    del config["memory_encoder"], config["config_sha256"]
    path.write_text(json.dumps(config | {"format_version": 1}))
    loaded = RacClassifier.load(tmp_path / "model")
    assert loaded.predict(queries()).probabilities.tobytes() == (
        model.predict(queries()).probabilities.tobytes()
    )


def test_text_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = with_text()
    text = model.text
    assert text is not None
    with pytest.raises(InputError, match=r"names and prototypes of shape \(3, 4\)"):
        RacClassifier(model.config, model.head, model.memory)
    foreign = Memory.in_ram(
        model.memory.vectors,
        model.memory.rows,
        encoder="toy0",
        metric=model.memory.metric,
        texts=np.ones((20, 5), np.float32),
    )
    with pytest.raises(InputError, match="text vectors have 5 dimensions, those of this model 4"):
        model.with_memory(foreign)
    folder = model.save(tmp_path / "model")
    config = without_digest(folder)
    (folder / "config.json").write_text(json.dumps(config | {"text": None}))
    with pytest.raises(InputError, match="vouches for"):
        RacClassifier.load(folder)


def test_a_memory_of_another_encoder_is_asked_with_features_of_its_own(tmp_path: Path) -> None:
    model, asked = with_memory_of_another_encoder(), queries()
    output = model.predict(asked, other_features(asked))
    assert output.base.tobytes() == classifier().predict(asked).base.tobytes()
    found = model.memory.search(other_features(asked), 5)
    assert (output.neighbours.rows == found.rows).all()
    counts, fusion = model.train_counts, model.fusion
    fused = fusion.log_probabilities(output.base, output.retrieval, counts)
    np.testing.assert_allclose(output.probabilities, np.exp(fused), rtol=1e-6)

    model.save(tmp_path / "model")
    loaded = RacClassifier.load(
        tmp_path / "model",
        encoder="toy0",
        space="trunk",
        memory_encoder="other1",
        memory_space="embedding",
    )
    again = loaded.predict(asked, other_features(asked))
    assert again.probabilities.tobytes() == output.probabilities.tobytes()
    assert loaded.memory.manifest.encoder_name == "other"


def test_rows_added_to_a_memory_of_another_encoder_are_heard() -> None:
    model, near = with_memory_of_another_encoder(), queries(1)
    rows = make_rows([f"new{copy}" for copy in range(5)], labels=["plum"] * 5)
    grown = model.with_memory(model.memory.add(np.repeat(other_features(near), 5, axis=0), rows))
    before, after = (one.predict(near, other_features(near)) for one in (model, grown))
    assert after.probabilities[0, 2] > before.probabilities[0, 2]
    assert after.base.tobytes() == before.base.tobytes()


def test_an_emptied_memory_of_another_encoder_leaves_the_base_branch() -> None:
    model = with_memory_of_another_encoder()
    empty = model.memory.delete(list(model.memory.ids))
    with pytest.warns(EmptyMemoryWarning, match="base branch answers alone"):
        output = model.with_memory(empty).predict(queries(), other_features(queries()))
    alone = classifier()
    with pytest.warns(EmptyMemoryWarning):
        expected = alone.with_memory(without_rows(alone)).predict(queries())
    assert output.branches == "base"
    assert output.probabilities.tobytes() == expected.probabilities.tobytes()


def test_features_of_the_wrong_encoders_are_refused(tmp_path: Path) -> None:
    model, plain = with_memory_of_another_encoder(), classifier()
    folder = model.save(tmp_path / "two")
    for given, message in (
        ({"encoder": "other1"}, "base branch was trained on toy0"),
        ({"space": "embedding"}, "the space differs: the base branch was trained on trunk"),
        ({"memory_encoder": "toy0"}, "the memory was made with other1 .other."),
        ({"memory_space": "trunk"}, "holds 'embedding' vectors"),
    ):
        with pytest.raises(EncoderMismatch, match=message):
            RacClassifier.load(folder, **given)
    with pytest.raises(InputError, match="same encoder as its base branch"):
        RacClassifier.load(plain.save(tmp_path / "one"), memory_encoder="other1")
    with pytest.raises(InputError, match="of an encoder of its own, other"):
        model.predict(queries())
    with pytest.raises(InputError, match="one feature vector of each image"):
        plain.predict(queries(), queries())
    with pytest.raises(InputError, match="9 rows of features, 2 for the memory"):
        model.predict(queries(), other_features(queries(2)))
    with pytest.raises(ValueError, match="a base metric is for"):
        RacClassifier(model.config, model.head, model.memory)
    tensors = folder / "model.safetensors"
    tensors.write_bytes((tmp_path / "one/model.safetensors").read_bytes())
    config = without_digest(folder)
    one = json.loads((tmp_path / "one/config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"tensors_sha256": one["tensors_sha256"]})
    )
    with pytest.raises(InputError, match="vouches for"):
        RacClassifier.load(folder)


def test_a_prediction_file_tells_the_nearest_thirty_neighbours() -> None:
    model = classifier()
    config = model.config.model_copy(update={"k": 40})
    grown = RacClassifier(config, model.head, model.memory)
    rows = make_rows([f"more{row}" for row in range(30)], labels=["pear"] * 30)
    more = grown.with_memory(model.memory.add(queries(30), rows))
    items = [Item("q", "q.png", None, None)]
    output = more.predict(queries(1))
    assert output.neighbours.rows.shape == (1, 40)
    told = to_predictions(output, items, None, "toy", model=more).neighbour_ids
    assert told is not None
    assert told[0] == [more.memory.ids[row] for row in output.neighbours.rows[0, :30]]
