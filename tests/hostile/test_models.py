"""Model folders from outside: what no fit gives is refused, and flipped bits are found."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rac.classifier import RacClassifier
from rac.errors import InputError
from retrieval_index import Memory, MemoryFault
from retrieval_index.files import sha256_file
from tests.hostile.table import Promise
from tests.rac.test_classifier import (
    classifier,
    queries,
    with_memory_of_another_encoder,
    with_text,
    without_digest,
)

Damage = Callable[[Path], None]


def replaced(path: str, value: Any) -> Damage:
    """Set a key of ``config.json`` in the form that had no digest; ``a.b`` is within another."""

    def damage(folder: Path) -> None:
        config: dict[str, Any] = without_digest(folder)
        *above, last = path.split(".")
        place = config
        for key in above:
            place = place[key]
        place[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return damage


HUGE = 10**30
SETTINGS_CASES: list[tuple[str, Any]] = [
    ("k", HUGE),
    ("k", 0),
    ("k", -3),
    ("k", 10_001),
    ("k", "many"),
    ("k", 2.5),
    ("dim", HUGE),
    ("dim", 0),
    ("dim", 7),
    ("temperature", 0),
    ("temperature", 1e-300),
    ("temperature", 1e300),
    ("gamma", -1),
    ("gamma", 1e9),
    ("classes", []),
    ("classes", ["apple"]),
    ("classes", ["apple", "apple", "plum"]),
    ("classes", ["apple", "pear"]),
    ("classes", [1, 2, 3]),
    ("classes", "apple"),
    ("train_counts", [1, 2]),
    ("train_counts", [1, 2, HUGE]),
    ("train_counts", [1, 2, -1]),
    ("space", "pixels"),
    ("encoder", None),
    ("encoder", "other"),
    ("fusion", None),
    ("fusion.weights", [1.0]),
    ("fusion.weights", [1e300, 0, 0, 0, 0]),
    ("fusion.spread", 0),
    ("fusion.centre", "middle"),
    ("fusion.surprise", 1),
    ("fallback.temperature", -1),
    ("text", {"dim": 4, "temperature": 0.1, "scale": 10.0}),
    ("text", {"dim": HUGE, "temperature": 0.1, "scale": 10.0}),
    ("memory_encoder", {"encoder": "o", "space": "trunk", "dim": HUGE}),
    ("metric_sha256", "0" * 64),
    ("tensors_sha256", "0" * 64),
    ("tensors_sha256", None),
    ("images_sha256", "0" * 64),
    ("format_version", 99),
    ("format_version", "3"),
    ("format_version", None),
    ("format_version", True),
    ("metrics", {"accuracy": "high"}),
    ("training", {"seed": [1]}),
    ("auto_map", {"AutoModel": "x.Y"}),
]
DOCUMENT_CASES: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is not JSON"),
    ("a list", b"[]", "not the configuration"),
    ("null", b"null", "not the configuration"),
    ("cut", b'{"format_version": 3, ', "is not JSON"),
    ("deep", b"[" * 200_000, "too deep"),
    ("deep in a key", b'{"training": ' + b'{"a":' * 100_000, "too deep"),
    ("UTF-16", '{"format_version": 3}'.encode("utf-16"), "UTF-8"),
    ("Latin-1", b'{"format_version": "\xe9"}', "UTF-8"),
    ("NaN", b'{"format_version": 3, "temperature": NaN}', "NaN is not a number"),
    ("a key twice", b'{"k": 1, "k": 2}', "occurs twice"),
    ("a number without end", b'{"k": ' + b"9" * 5000 + b"}", "is not JSON"),
    ("a pickle", b"\x80\x04N.", "UTF-8"),
]


def changed(change: Callable[[dict[str, Any]], None]) -> Damage:
    """Change the tensors, and have the configuration vouch for them."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = dict(load_file(path))
        change(tensors)
        save_file(tensors, path)
        replaced("tensors_sha256", sha256_file(path))(folder)

    return damage


def put(name: str, value: Any) -> Damage:
    """Set a tensor to a number throughout, or to another array."""

    def change(tensors: dict[str, Any]) -> None:
        if isinstance(value, float):
            tensors[name] = tensors[name].copy()
            tensors[name].reshape(-1)[0] = value
        elif value is None:
            del tensors[name]
        else:
            tensors[name] = value

    return changed(change)


def images(content: bytes) -> Damage:
    """Put another ``images.json``, and have the configuration vouch for it."""

    def damage(folder: Path) -> None:
        (folder / "images.json").write_bytes(content)
        replaced("images_sha256", sha256_file(folder / "images.json"))(folder)

    return damage


def cut(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-7])

    return damage


def removed(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def a_folder(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


FILES_CASES: list[tuple[str, Damage, str]] = [
    ("NaN directions", put("directions", float("nan")), "directions holds numbers that are none"),
    ("infinite directions", put("directions", float("inf")), "directions holds numbers"),
    ("NaN scale", put("scale", float("nan")), "scale holds numbers"),
    ("no scale", put("scale", None), "vouches for"),
    ("scale of 0", put("scale", np.zeros(1)), "scale must be above 0"),
    ("negative scale", put("scale", np.full(1, -1.0)), "scale must be above 0"),
    ("two scales", put("scale", np.ones(2)), "scale has the shape"),
    ("a scale in a table", put("scale", np.ones((1, 1))), "scale has the shape"),
    ("no directions", put("directions", None), "vouches for"),
    ("too few directions", put("directions", np.ones((2, 6), np.float32)), "directions has the"),
    ("flat directions", put("directions", np.ones(18, np.float32)), "directions has the shape"),
    ("narrow directions", put("directions", np.ones((3, 5), np.float32)), "is of 5 dimensions"),
    ("wide directions", put("directions", np.ones((3, 99), np.float32)), "is of 99 dimensions"),
    ("whole numbers", put("directions", np.ones((3, 6), np.int64)), "directions holds numbers"),
    ("one tensor more", put("surprise", np.ones(1)), "vouches for"),
    ("cut tensors", cut("model.safetensors"), "vouches for"),
    ("no tensors", removed("model.safetensors"), "model.safetensors"),
    ("a folder of tensors", a_folder("model.safetensors"), "model.safetensors"),
    ("a folder of settings", a_folder("config.json"), "config.json"),
    ("cut settings", cut("config.json"), "config.json"),
    ("no images", removed("images.json"), "images.json"),
    ("cut images", cut("images.json"), "images.json"),
    ("images that are a list", images(b"[]"), "images.json"),
    ("images of other keys", images(b'{"secret": null}'), "images.json"),
    ("deep images", images(b"[" * 200_000), "too deep"),
    ("images in UTF-16", images("{}".encode("utf-16")), "UTF-8"),
    ("digests that are none", images(b'{"training": {"source": null, "digests": "?"}}'), "damaged"),
    ("no memory", lambda folder: shutil.rmtree(folder / "memory"), "memory"),
]  # fmt: skip
TEXT_CASES: list[tuple[str, Damage, str]] = [
    ("NaN names", put("text_names", float("nan")), "text_names holds numbers"),
    ("narrow names", put("text_names", np.ones((3, 3), np.float32)), "text_names has the shape"),
    ("few prototypes", put("text_prototypes", np.ones((1, 4), np.float32)), "text_prototypes has"),
    ("other dimensions", replaced("text.dim", 5), "text_names has the shape"),
    ("a temperature of 0", replaced("text.temperature", 0), "text.temperature"),
]
METRIC_CASES: list[tuple[str, Damage, str]] = [
    ("NaN", put("base_metric.mean", float("nan")), "metric of the base branch is damaged"),
    ("a power of 7", put("base_metric.power", np.array(7.0)), "metric of the base branch"),
    ("narrow", put("base_metric.transform", np.ones((2, 2))), "metric of the base branch"),
    ("no mean", put("base_metric.mean", None), "metric of the base branch"),
    ("other dimensions", replaced("memory_encoder.dim", 6), "is of 5 dimensions"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of model."""
    home = tmp_path_factory.mktemp("models")
    kinds = {
        "plain": classifier,
        "text": with_text,
        "two": with_memory_of_another_encoder,
    }
    return {name: make().save(home / name) for name, make in kinds.items()}


def refuse(folder: Path, says: str) -> None:
    with pytest.raises((InputError, MemoryFault), match=says) as refused:
        RacClassifier.load(folder)
    assert str(folder) in str(refused.value) or "encoder differs" in str(refused.value)


#: What the message says where that is not the key.
SAID = {
    ("dim", 7): "of 6 dimensions, and the model of 7",
    ("classes", ("apple", "apple", "plum")): "named twice",
    ("classes", ("apple", "pear")): "2 classes but 3 counts",
    ("train_counts", (1, 2)): "3 classes but 2 counts",
    ("encoder", "other"): "encoder differs",
    ("metric_sha256", "0" * 64): "its metric is not the one",
    ("tensors_sha256", "0" * 64): "vouches for",
    ("tensors_sha256", None): "vouches for",
    ("images_sha256", "0" * 64): "vouches for",
    ("format_version", 99): "version 99",
    ("format_version", "3"): "version 3",
    ("format_version", None): "version None",
    ("format_version", True): "version True",
}


@pytest.mark.parametrize(("path", "value"), SETTINGS_CASES)
def test_a_setting_that_no_fit_gives_is_refused(
    path: str, value: Any, saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be searched")

    monkeypatch.setattr(Memory, "search", searched)
    folder = shutil.copytree(saved["plain"], tmp_path / "model")
    replaced(path, value)(folder)
    key = (path, tuple(value) if isinstance(value, list) else value)
    text_of_four = path == "text" and value["dim"] == 4
    known = None if isinstance(value, dict) else SAID.get(key)
    refuse(folder, "vouches for" if text_of_four else known or path.rpartition(".")[2])


@pytest.mark.parametrize(("name", "content", "says"), DOCUMENT_CASES)
def test_a_configuration_that_is_none_is_refused(
    name: str, content: bytes, says: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved["plain"], tmp_path / "model")
    (folder / "config.json").write_bytes(content)
    refuse(folder, says)


@pytest.mark.parametrize(
    ("kind", "name", "damage", "says"),
    [
        *(("plain", *case) for case in FILES_CASES),
        *(("text", *case) for case in TEXT_CASES),
        *(("two", *case) for case in METRIC_CASES),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    kind: str, name: str, damage: Damage, says: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved[kind], tmp_path / "model")
    damage(folder)
    refuse(folder, says)


# In the present form the configuration vouches for itself, so any edit of it is found.
EDITS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("a class", lambda said: said["classes"].__setitem__(0, "quince")),
    ("the order of classes", lambda said: said["classes"].reverse()),
    ("a count", lambda said: said["train_counts"].__setitem__(2, 3)),
    ("neighbours", lambda said: said.update(k=4)),
    ("a weight", lambda said: said["fusion"]["weights"].__setitem__(0, 2.0)),
    ("a name", lambda said: said.update(encoder_name="hf-hub:org/other")),
    ("a setting", lambda said: said["training"].update(seed=1)),
    ("a key left out", lambda said: said.pop("gamma", None) and said.update(gamma=0.7000001)),
    ("no digest", lambda said: said.pop("config_sha256")),
    ("an empty digest", lambda said: said.update(config_sha256=None)),
    ("another digest", lambda said: said.update(config_sha256="0" * 64)),
    ("an older version", lambda said: said.update(format_version=3)),
]


@pytest.mark.parametrize(("name", "edit"), EDITS)
def test_an_edited_configuration_is_refused(
    name: str, edit: Callable[[dict[str, Any]], Any], saved: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved["plain"], tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    edit(told)
    (folder / "config.json").write_text(json.dumps(told))
    refuse(folder, "config_sha256 is of other contents")


def test_another_layout_of_the_same_configuration_is_the_same(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(saved["plain"], tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(dict(reversed(told.items()))))
    assert RacClassifier.load(folder).config == RacClassifier.load(saved["plain"]).config


def test_a_folder_from_before_digests_is_read(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(saved["plain"], tmp_path / "model")
    replaced("k", 5)(folder)
    found = RacClassifier.load(folder).predict(queries())
    assert (found.probabilities == classifier().predict(queries()).probabilities).all()
    # Saved again, it is of the present form.
    RacClassifier.load(folder).save(folder)
    assert json.loads((folder / "config.json").read_text())["format_version"] == 4
    RacClassifier.load(folder)


FLIPS = 200


@pytest.mark.parametrize("kind", ["plain", "text", "two"])
def test_a_flipped_bit_is_refused_by_name_or_changes_nothing(
    kind: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    whole = RacClassifier.load(saved[kind])
    asked = [queries()] if kind != "two" else [queries(), queries()[:, :5]]
    expected = whole.predict(*asked)
    folder = shutil.copytree(saved[kind], tmp_path / "model")
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
    dice, refused, unnamed = random.Random(7), 0, []
    for _ in range(FLIPS):
        name = dice.choice(files)
        content = bytearray((saved[kind] / name).read_bytes())
        bit = dice.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(content)
        try:
            found = RacClassifier.load(folder)
            output = found.predict(*asked)
            assert (output.probabilities == expected.probabilities).all(), (name, bit)
            assert (output.neighbours.rows == expected.neighbours.rows).all(), (name, bit)
            assert found.memory.ids == whole.memory.ids, (name, bit)
            assert found.config.model_dump(exclude={"config_sha256"}) == whole.config.model_dump(
                exclude={"config_sha256"}
            ), (name, bit)
        except (InputError, MemoryFault) as fault:
            refused += 1
            if str(folder) not in str(fault):
                unnamed.append((name, bit, str(fault)))
        shutil.copyfile(saved[kind] / name, folder / name)
    assert not unnamed
    assert refused > FLIPS // 2


PROMISES = [
    Promise(
        "model folders",
        "numbers that no fit gives, and files that do not fit each other, are refused by name at "
        "loading",
        "absurd k, dimensions and weights, NaN, other shapes, deep and foreign JSON, files gone, "
        "cut or edited",
        len(SETTINGS_CASES)
        + len(DOCUMENT_CASES)
        + len(FILES_CASES)
        + len(TEXT_CASES)
        + len(METRIC_CASES)
        + len(EDITS),
    ),
    Promise(
        "flipped bits in a model folder",
        "are refused by name, or every prediction is the same",
        "random single bits of configuration, tensors, known images and memory, in three models",
        3 * FLIPS,
    ),
]
