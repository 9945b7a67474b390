"""The names that ``import rac`` offers, on toy images of every kind of frame."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

import rac
from eval.predictions import read_predictions
from rac.api.classifier import BadImagesWarning
from rac.api.filling import read_schema
from rac.api.model import Model
from rac.classifier import RacClassifier
from rac.errors import InputError, JobFailed
from rac.images import ImageLimits
from tests.fake_hub import FakeHub
from tests.toy import ToyEncoder, toy_image, write_toy_images

ROOT = Path(__file__).resolve().parents[2]
COLOURS = ["red"] * 6 + ["green"] * 5 + ["blue"] * 4
quiet = {"progress": False}


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is a toy encoder, and relative paths start in a folder of this test."""
    monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> rac.Classifier:
    pictures = [toy_image(colour, seed) for seed, colour in enumerate(COLOURS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAC_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return rac.Classifier(ToyEncoder(), epochs=2).fit(pictures, COLOURS, **quiet)


def kinds_of_frames() -> list[str]:
    found = ["pandas", "arrow", "datasets"]
    return [*found, "polars"] if importlib.util.find_spec("polars") else found


def frame_of(kind: str, columns: dict[str, Any]) -> Any:
    if kind == "pandas":
        rows = len(next(iter(columns.values())))
        return pandas.DataFrame(columns, index=[f"r{row}" for row in range(rows)])
    if kind == "arrow":
        return pa.table(columns)
    if kind == "datasets":
        return datasets.Dataset.from_dict(columns)
    import polars

    return polars.DataFrame(columns)


def column_of(frame: Any, name: str) -> list[Any]:
    cells = frame[name]
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(cells, method):
            cells = getattr(cells, method)()
    return [None if cell != cell else cell for cell in cells]


# --- the names -----------------------------------------------------------------------------------


def test_importing_rac_is_cheap_and_names_are_there_when_they_are_asked_for() -> None:
    code = (
        "import sys, rac; before = set(sys.modules); print(sorted({'torch', 'numpy', 'pyarrow',"
        " 'sklearn', 'PIL', 'pydantic', 'huggingface_hub'} & before));"
        " print(all(name in dir(rac) for name in rac.__all__)); rac.InputError;"
        " print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.split("\n")[:3] == ["[]", "True", "False"]


def test_no_public_name_is_that_of_a_module() -> None:
    """Importing a module would put it in the place of the function of its name."""
    modules = {module.name for module in pkgutil.iter_modules(rac.__path__)}
    assert "tables" in modules
    assert modules & set(rac.__all__) == set()
    for name in rac.__all__:
        assert getattr(rac, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rac.nonsense  # noqa: B018


def test_type_checkers_are_told_that_the_packages_are_typed() -> None:
    for package in ("rac", "retrieval_index", "eval", "training"):
        assert (ROOT / package / "py.typed").is_file()


def test_every_public_name_says_what_it_is_with_an_example() -> None:
    shown = set(rac.__all__) - {"__version__", "InputError", "JobFailed", "load_encoder", "Memory"}
    for name in shown:
        assert ">>> " in getattr(rac, name).__doc__, name


# --- embeddings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds_of_frames())
def test_embeddings_of_every_kind_of_frame(kind: str, tmp_path: Path) -> None:
    names = write_toy_images(tmp_path / "photos", ["red", "blue"])
    cells = [f"photos/{names[0]}", "photos/none.png", f"photos/{names[1]}"]
    frame = frame_of(kind, {"image": cells, "id": ["a", "b", "c"]})
    found = rac.embed(frame, **quiet)
    assert (found.ids, found.encoder) == (["a", "b", "c"], "toy0")
    assert (found.vectors.shape, found.trunk.shape) == ((3, 3), (3, 12))
    assert found.ok.tolist() == [True, False, True]
    assert found.reasons[1] == "missing: there is no file photos/none.png"
    assert np.isnan(found.vectors[1]).all()
    np.testing.assert_allclose(np.linalg.norm(found.vectors[[0, 2]], axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(found), found.vectors)
    pictures = rac.embed([toy_image("red", 0), toy_image("blue", 1)], cache=False, **quiet)
    np.testing.assert_allclose(pictures.vectors, found.vectors[[0, 2]], atol=1e-6)


def test_a_picture_may_be_larger_than_a_file_may_be() -> None:
    """The bound on bytes is for files of others; these are in memory already."""
    large = toy_image("red").resize((200, 200))
    found = rac.embed([large, b"x" * 2000], limits=ImageLimits(max_bytes=1000), **quiet)
    assert found.ok.tolist() == [True, False]


def test_a_relative_table_is_found_again_after_the_working_folder_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notebooks change folders; where links led in the one says nothing of the other."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        names = write_toy_images(Path("photos"), ["red"])
        Path("items.csv").write_text(f"image\nphotos/{names[0]}\n")
        assert rac.embed("items.csv", **quiet).reasons == [None]
        assert rac.embed(pandas.read_csv("items.csv"), **quiet).reasons == [None]


def test_paths_in_cells_stay_in_the_folder_unless_it_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    path = str(elsewhere / write_toy_images(elsewhere, ["red"])[0])
    frame = pandas.DataFrame({"image": [path]})
    assert str(rac.embed(frame, **quiet).reasons[0]).startswith("blocked-path")
    assert rac.embed(frame, limits=ImageLimits(roots=(elsewhere,)), **quiet).ok.all()
    # What is named one by one is named by the caller.
    assert rac.embed([path], **quiet).ok.all()
    assert rac.embed(path, **quiet).ok.all()
    assert rac.embed(Path(path), **quiet).ok.all()
    with pytest.raises(JobFailed, match="1 of the first 1 images are bad"):
        rac.embed(frame, max_bad=0.5, **quiet)


# --- classifier and model ------------------------------------------------------------------------


def test_a_classifier_follows_scikit_learn(tmp_path: Path) -> None:
    pictures = [toy_image(colour, seed) for seed, colour in enumerate(COLOURS)]
    made = rac.Classifier(ToyEncoder(), epochs=1)
    assert made.get_params()["epochs"] == 1
    made.set_params(epochs=2, random_state=3)
    copy = clone(made)
    assert copy is not made
    assert copy.get_params() == made.get_params()
    with pytest.raises(NotFittedError):
        made.predict(pictures)
    scores = cross_val_score(made, pictures, np.array(COLOURS), cv=2, params={"progress": False})
    assert scores.tolist() == [1.0, 1.0]
    assert not hasattr(made, "classes_")
    assert "epochs=2" in repr(made)


def test_a_classifier_predicts_and_scores(fitted: rac.Classifier) -> None:
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    pictures = [toy_image("green", 99), toy_image("red", 98)]
    assert fitted.predict(pictures).tolist() == ["green", "red"]
    shares = fitted.predict_proba(pictures)
    assert shares.shape == (2, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    with pytest.warns(BadImagesWarning, match="1 of 2 images are bad.*not-an-image"):
        assert fitted.predict([pictures[0], b"text"]).tolist() == ["green", None]
    with pytest.warns(BadImagesWarning):
        assert fitted.score([pictures[0], b"text"], ["green", "green"]) == 0.5
    frame = pandas.DataFrame({"image": pictures, "kind": ["green", "blue"]})
    assert fitted.score(frame, label="kind") == 0.5
    assert fitted.score(frame, ["green", "blue"], sample_weight=[3, 1]) == 0.75
    with pytest.raises(InputError, match="label=COLUMN"):
        fitted.score(pictures)
    with pytest.raises(InputError, match="2 items, but 1 classes"):
        fitted.score(pictures, ["green"])


def test_what_is_trained_is_what_the_command_line_trains(tmp_path: Path) -> None:
    from training.cli import run

    names = write_toy_images(tmp_path / "photos", COLOURS)
    frame = pandas.DataFrame(
        {"image": [f"photos/{name}" for name in names], "label": COLOURS, "text": COLOURS}
    )
    frame.to_csv(tmp_path / "items.csv", index=False)
    run(
        [
            *("fit", "--data.train", "items.csv", "--trainer.default_root_dir", "run"),
            *("--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "2"),
        ]
    )
    commanded = RacClassifier.load("run/model")
    for data in (frame, "items.csv", datasets.Dataset.from_pandas(frame)):
        trained = rac.Classifier(epochs=2).fit(data, **quiet).model_.classifier
        np.testing.assert_array_equal(trained.head.directions, commanded.head.directions)
        assert trained.config.fusion == commanded.config.fusion
        noted = dict(commanded.config.training)
        assert trained.config.training == {
            name: value for name, value in noted.items() if name != "_instantiator"
        }
        assert trained.memory.ids == commanded.memory.ids


def test_training_says_what_is_wrong(tmp_path: Path) -> None:
    pictures = [toy_image(colour) for colour in ("red", "blue")]
    frame = pandas.DataFrame({"image": pictures, "colour": ["red", "blue"]})
    made = rac.Classifier(epochs=1)
    with pytest.raises(InputError, match="there is no column 'color'"):
        made.fit(frame, label="color", **quiet)
    with pytest.raises(InputError, match="which column is the label"):
        made.fit(frame, **quiet)
    with pytest.raises(InputError, match="not both"):
        made.fit(frame, ["a", "b"], label="colour", **quiet)
    with pytest.raises(InputError, match="columns of"):
        made.fit(frame, ["a"], **quiet)
    (tmp_path / "items.csv").write_text("image,label\n")
    with pytest.raises(InputError, match="not y"):
        made.fit("items.csv", ["a"], **quiet)


@pytest.mark.parametrize("kind", kinds_of_frames())
def test_predictions_come_back_as_the_frame_that_went_in(
    kind: str, fitted: rac.Classifier, tmp_path: Path
) -> None:
    names = write_toy_images(tmp_path, ["red", "blue"])
    frame = frame_of(kind, {"image": [names[0], "none.png", names[1]]})
    found = fitted.model_.predict(frame, **quiet)
    assert found.labels == ["red", None, "blue"]
    assert found.neighbours is not None
    nearest = [near[0] if near else None for near in found.neighbours.labels]
    assert nearest == ["red", None, "blue"]
    assert [len(near) for near in found.neighbours.scores] == [
        len(near) for near in found.neighbours.ids
    ]
    assert np.isnan(found.probabilities[1]).all()
    told = found.to_frame()
    assert type(told) is type(frame)
    assert column_of(told, "prediction") == ["red", None, "blue"]
    assert column_of(told, "reason") == [None, "missing: there is no file none.png", None]
    assert column_of(told, "confidence")[1] is None
    if kind == "pandas":
        assert told.index.tolist() == ["r0", "r1", "r2"]


def test_a_model_is_saved_loaded_and_read_by_the_command(
    fitted: rac.Classifier, tmp_path: Path
) -> None:
    folder = fitted.save(tmp_path / "model")
    model = rac.load(folder)
    assert isinstance(model, rac.Model)
    assert model.classes == ("blue", "green", "red")
    assert len(model.memory) == len(COLOURS)
    pictures = [toy_image("blue", 7), toy_image("red", 8)]
    before, after = (one.predict(pictures, **quiet) for one in (fitted.model_, model))
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    assert RacClassifier.load(folder).classes == model.classes
    with pytest.raises(InputError, match="there is no such folder"):
        rac.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no config\.json there"):
        rac.load(tmp_path)
    with pytest.raises(InputError, match="the encoder differs"):
        rac.load(folder, encoder=ToyEncoder("another"))
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="vouches for"):
        rac.load(folder)


def test_a_memory_with_an_encoder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.cli import run

    monkeypatch.setattr("rac.encoders.load_encoder", lambda name, **_: ToyEncoder(name))
    names = write_toy_images(tmp_path / "photos", COLOURS)
    lines = [f"photos/{name},{colour}" for name, colour in zip(names, COLOURS, strict=True)]
    (tmp_path / "items.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    run(
        [
            *("fit", "--data.train", "items.csv", "--data.val", "items.csv"),
            *("--data.encoder", "tuned", "--data.memory_encoder", "frozen"),
            *("--trainer.default_root_dir", "run", "--trainer.enable_progress_bar", "false"),
            *("--trainer.max_epochs", "1"),
        ]
    )
    model = rac.load("run/model")
    found = model.predict(["photos/" + names[0], b"text"], **quiet)
    assert found.labels == ["red", None]
    assert model.memory_encoder is not None
    assert (model.encoder.name, model.memory_encoder.name) == ("toy", "toy")
    with pytest.raises(InputError, match="the encoder differs"):
        rac.load("run/model", memory_encoder=ToyEncoder("tuned"))
    again = Model.from_pretrained(
        "run/model", encoder=ToyEncoder("tuned"), memory_encoder=ToyEncoder("frozen")
    )
    assert again.predict(["photos/" + names[0]], **quiet).labels == ["red"]


def test_an_encoder_of_another_name_is_refused_when_it_is_loaded(
    fitted: rac.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = rac.load(fitted.save(tmp_path / "model"))
    monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder("another"))
    with pytest.raises(InputError, match="the encoder differs"):
        model.predict([toy_image("red")], **quiet)


# --- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    return FakeHub.instead_of_the_real_one(tmp_path / "hub", monkeypatch)


def test_a_model_goes_to_a_hub_and_comes_back(
    fitted: rac.Classifier, hub: FakeHub, tmp_path: Path
) -> None:
    address = fitted.model_.push_to_hub("shop/colours")
    assert address == "https://hub/shop/colours"
    there = hub.folder / "shop/colours"
    card = (there / "README.md").read_text()
    assert "blue, green, red" in card
    assert "library_name: rac" in card
    assert json.loads((there / "config.json").read_text())["classes"] == ["blue", "green", "red"]
    # What is no part of a model is not even fetched.
    (there / "evil.py").write_text("raise SystemExit")
    (there / "encoder").mkdir()
    (there / "encoder" / "weights.bin").write_bytes(b"pickle")
    model = rac.load("hf-hub:shop/colours@v2")
    assert hub.asked["revision"] == "v2"
    copies = [path.name for path in (hub.folder / "copies").rglob("*")]
    assert "model.safetensors" in copies
    assert not {"evil.py", "weights.bin", "README.md"} & set(copies)
    assert model.predict([toy_image("blue", 5)], **quiet).labels == ["blue"]
    # And once more, from what was loaded.
    model.save_pretrained(tmp_path / "again")
    again = Model.from_pretrained(tmp_path / "again", encoder=ToyEncoder())
    assert again.predict([toy_image("red", 5)], **quiet).labels == ["red"]
    model.save_pretrained(tmp_path / "again")
    assert rac.load(tmp_path / "again").classes == model.classes


def test_an_encoder_in_a_folder_goes_along(
    fitted: rac.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors", "notes.py"):
        (tuned / name).write_text("{}")
    classifier = fitted.model_.classifier
    config = classifier.config.model_copy(update={"encoder_name": str(tuned)})
    own = RacClassifier(
        config, classifier.head, classifier.memory, classifier.seen, **classifier._text_tensors()
    )
    folder = Model(own, ToyEncoder()).save(tmp_path / "model")
    assert sorted(path.name for path in (folder / "encoder").iterdir()) == [
        "open_clip_config.json", "open_clip_model.safetensors",
    ]  # fmt: skip
    shutil.rmtree(tuned)
    names: list[str] = []

    def load(name: str, **_: Any) -> ToyEncoder:
        names.append(name)
        return ToyEncoder()

    monkeypatch.setattr("rac.encoders.load_encoder", load)
    model = rac.load(folder)
    assert model.predict([toy_image("red")], **quiet).labels == ["red"]
    assert names == [str(folder / "encoder")]
    assert (model.save(tmp_path / "copy") / "encoder" / "open_clip_config.json").is_file()


def test_a_hub_that_has_nothing_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    def refuse(fault: Exception) -> None:
        def download(*_: Any, **__: Any) -> str:
            raise fault

        monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)

    refuse(LocalEntryNotFoundError("no connection"))
    with pytest.raises(JobFailed, match="the hub cannot be reached"):
        rac.load("hf-hub:shop/colours")
    refuse(HFValidationError("bad name"))
    with pytest.raises(InputError, match="no such model on the hub"):
        rac.load("hf-hub:shop/colours")
    monkeypatch.undo()
    with pytest.raises(InputError, match="no such model on the hub"):
        rac.load("hf-hub:a/b/c/d")


# --- zero-shot and reports -----------------------------------------------------------------------


def test_zero_shot_by_names_given(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "image": [toy_image("red"), b"text", toy_image("blue")],
            "label": ["red", "red", "green"],
        }
    )
    for together in (True, False):
        found = rac.zero_shot(frame, ["blue", "red", "green"], together=together, **quiet)
        assert found.labels == ["red", None, "blue"]
        np.testing.assert_allclose(found.probabilities[[0, 2]].sum(axis=1), 1, atol=1e-5)
        assert found.neighbours is None
    judged = rac.report(found, tmp_path / "report")
    assert judged.metrics.runs[0].headline.top1.value == 0.5
    # The picture that was taken for another, though it lies in this program's memory only.
    assert "data:image" in (tmp_path / "report" / "report.html").read_text()
    assert rac.zero_shot([b"text"], ["a", "b"], **quiet).labels == [None]
    with pytest.raises(InputError, match="at least two classes, each once"):
        rac.zero_shot(frame, ["red", "red"], **quiet)
    with pytest.raises(InputError, match=r"has no \{\}"):
        rac.zero_shot(frame, ["red", "blue"], templates=["a photo"], **quiet)


def test_reports_compare_runs_and_refuse_training_images(
    fitted: rac.Classifier, tmp_path: Path
) -> None:
    rows = pandas.DataFrame(
        {"image": [toy_image(c, 50 + s) for s, c in enumerate(COLOURS)], "label": COLOURS}
    )
    found = fitted.model_.predict(rows, **quiet)
    path = found.save(tmp_path / "found.parquet", name="fused")
    assert read_predictions(path).name == "fused"
    zero = rac.zero_shot(rows, ["red", "green", "blue"], **quiet)
    built = rac.report({"new": found, "names": zero, "file": path}, tmp_path / "out")
    assert [run.name for run in built.metrics.runs] == ["new", "names", "file"]
    assert len(built.metrics.comparisons) == 2
    single = rac.report(found)
    assert single.metrics.runs[0].headline.top1.value == 1.0
    seen = [toy_image(colour, seed) for seed, colour in enumerate(COLOURS)]
    trained_on = fitted.model_.predict(pandas.DataFrame({"image": seen, "label": COLOURS}), **quiet)
    with pytest.raises(InputError, match="were trained on"):
        rac.report(trained_on)
    assert rac.report(trained_on, force=True).metrics.runs[0].honesty.forced
    twice = pandas.DataFrame({"image": seen[:2], "id": ["a", "a"], "label": COLOURS[:2]})
    with pytest.raises(InputError, match="also the id of row"):
        rac.report(fitted.model_.predict(twice, **quiet))
    with pytest.raises(InputError, match="truth is for fill runs"):
        rac.report(found, truth="x.csv")


# --- filling -------------------------------------------------------------------------------------

KNOWN = (["red", "green", "blue"] * 25)[:70]
SCHEMA = {"colour": {"target_precision": 0.8}, "note": ["red", "green", "blue"]}


@pytest.fixture
def catalogue(tmp_path: Path) -> dict[str, Any]:
    """Seventy rows with photos; every fifth colour is missing, and one photo."""
    names = write_toy_images(tmp_path / "photos", KNOWN)
    (tmp_path / "photos" / names[5]).write_text("no image")
    colours = [None if row % 5 == 0 else colour for row, colour in enumerate(KNOWN)]
    return {"image": [f"photos/{name}" for name in names], "colour": colours, "size": [1.5] * 70}


@pytest.mark.parametrize("kind", kinds_of_frames())
def test_a_filled_frame_is_the_frame_with_its_gaps_filled(
    kind: str, catalogue: dict[str, Any], tmp_path: Path
) -> None:
    frame = frame_of(kind, catalogue)
    found = rac.fill(frame, SCHEMA, **quiet)
    assert type(found.frame) is type(frame)
    assert column_of(frame, "colour") == catalogue["colour"]
    filled = column_of(found.frame, "colour")
    gaps = [row for row in range(70) if row % 5 == 0 and row != 5]
    assert [filled[row] for row in gaps] == [KNOWN[row] for row in gaps]
    assert filled[5] is None
    rest = [row for row in range(70) if row % 5]
    assert [filled[row] for row in rest] == [KNOWN[row] for row in rest]
    names = getattr(found.frame, "column_names", None) or list(found.frame.columns)
    assert list(names) == ["image", "colour", "size", "note"]
    for name in ("image", "size"):
        assert column_of(found.frame, name) == column_of(frame, name)
    assert dict(found.bad) == {5: "not-an-image: this is text"}
    assert found.folder is None
    assert found.summary.attributes["colour"].filled == len(gaps)
    assert found.summary.files == {}
    assert type(found.ledger) is type(frame)
    decided = list(zip(column_of(found.ledger, "row"), column_of(found.ledger, "decision"),
                       column_of(found.ledger, "attribute"), strict=True))  # fmt: skip
    assert (5, "bad_image", "colour") in decided
    assert (0, "filled", "colour") in decided
    assert not list(tmp_path.glob("rac-fill-*"))


def test_a_pandas_frame_keeps_its_types_and_its_index(catalogue: dict[str, Any]) -> None:
    frame = pandas.DataFrame(catalogue)
    frame["colour"] = pandas.Categorical(frame.colour)
    frame["grade"] = np.array([1.0 if row % 2 else np.nan for row in range(70)])
    frame["count"] = pandas.array([None if row % 7 == 0 else row % 2 for row in range(70)], "Int64")
    frame["empty"] = np.nan
    frame.index = pandas.MultiIndex.from_arrays([["x"] * 70, [row % 9 for row in range(70)]])
    frame[3] = "kept"
    before = frame.copy()
    schema = {
        "colour": {"target_precision": 0.8},
        "grade": {"values": ["1", "2"], "target_precision": 0.5},
        "count": {"values": ["0", "1"], "target_precision": 0.5},
        "empty": ["red", "green", "blue"],
    }
    found = rac.fill(frame, schema, **quiet).frame
    pandas.testing.assert_frame_equal(frame, before)
    assert found.index.equals(frame.index)
    assert found.columns.tolist() == frame.columns.tolist()
    for name in ("colour", "grade", "count", "size", 3):
        assert found[name].dtype == frame[name].dtype, name
        kept = frame[name].notna()
        assert found[name][kept.to_numpy()].equals(frame[name][kept]), name
    assert found.colour.isna().sum() == 1
    assert set(found["empty"].dropna()) <= {"red", "green", "blue"}


def test_a_category_that_was_not_there_is_added(catalogue: dict[str, Any]) -> None:
    frame = pandas.DataFrame({"image": [toy_image(colour) for colour in ("red", "blue")]})
    frame["colour"] = pandas.Categorical([None, "blue"], categories=["blue"])
    found = rac.fill(frame, {"colour": ["red", "blue"]}, **quiet).frame
    assert isinstance(found.colour.dtype, pandas.CategoricalDtype)
    assert set(found.colour.dropna()) <= {"red", "blue"}


def test_a_run_that_is_kept_can_be_explained_and_reported(
    catalogue: dict[str, Any], tmp_path: Path
) -> None:
    frame = pandas.DataFrame({**catalogue, "sku": [f"s{row}" for row in range(70)]})
    found = rac.fill(frame, {"colour": {"target_precision": 0.8}}, out="run", **quiet)
    assert found.folder == Path("run")
    assert {"table.parquet", "filled.parquet", "ledger.parquet"} <= {
        path.name for path in found.folder.iterdir()
    }
    assert pandas.read_parquet("run/filled.parquet").colour.tolist() == found.frame.colour.tolist()
    truth = frame.assign(colour=KNOWN)
    truth.to_csv("truth.csv", index=False)
    judged = rac.report("run", truth="truth.csv")
    assert judged.metrics.fills is not None
    assert judged.metrics.fills["colour"].precision == 1.0
    # The same again stands; another frame in the same folder is another run.
    again = rac.fill(frame, {"colour": {"target_precision": 0.8}}, out="run", **quiet)
    assert again.summary.resumed_rows == 70
    pandas.testing.assert_frame_equal(again.frame, found.frame)


def test_a_table_with_a_name_gives_the_path_of_its_copy(
    catalogue: dict[str, Any], tmp_path: Path
) -> None:
    pandas.DataFrame(catalogue).to_csv("items.csv", index=False)
    Path("schema.yaml").write_text("attributes: {colour: {target_precision: 0.8}}")
    with pytest.raises(InputError, match="out=FOLDER"):
        rac.fill("items.csv", "schema.yaml", **quiet)
    found = rac.fill("items.csv", "schema.yaml", out="run", **quiet)
    assert found.frame == Path("run/filled.csv")
    assert isinstance(found.ledger, pa.Table)
    assert pandas.read_csv(found.frame).colour.notna().sum() == 69


def test_a_frame_that_was_opened_before_is_a_frame_still(catalogue: dict[str, Any]) -> None:
    frame = pandas.DataFrame(catalogue).rename(columns={"image": "front"})
    table = rac.open_table(frame, image="front")
    found = rac.fill(table, {"colour": {"target_precision": 0.8}}, **quiet)
    assert isinstance(found.frame, pandas.DataFrame)
    assert rac.embed(table, **quiet).ok.sum() == 69
    with pytest.raises(InputError, match="is open"):
        rac.embed(table, image="front", **quiet)


def test_a_frame_without_rows_is_filled_with_nothing(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"image": [], "colour": []})
    for out in (None, "run"):
        found = rac.fill(frame, {"colour": ["red", "blue"]}, out=out, **quiet)
        assert len(found.frame) == len(found.ledger) == 0


WRONG = [
    ({"colour": {"valeus": ["red"]}}, "attribute 'colour': valeus: there is no such key"),
    ({"attributes": {"colour": ["red"]}, "version": 9}, "version"),
    ({"colour": {"values": [object()]}}, "words, numbers, lists and dicts only"),
    ("no-such.yaml", "there is no such schema file"),
    ({"image": ["x", "y"]}, "holds the images"),
]


@pytest.mark.parametrize(("schema", "told"), WRONG, ids=[told[:20] for _, told in WRONG])
def test_a_schema_that_is_none(schema: Any, told: str) -> None:
    frame = pandas.DataFrame({"image": [toy_image("red")], "colour": ["red"]})
    with pytest.raises(InputError, match=told):
        rac.fill(frame, schema, **quiet)


def test_a_schema_may_be_written_in_short() -> None:
    short = read_schema({"colour": ["red", "no"], "sleeve": None})
    long = read_schema(
        {"version": 1, "attributes": {"colour": {"values": ["red", "no"]}, "sleeve": {}}}
    )
    assert short == long
    assert read_schema(short) is short
    assert list(read_schema(["a", "b"]).attributes) == ["a", "b"]
    with pytest.raises(InputError, match="images alone"):
        rac.fill([toy_image("red")], short, **quiet)


# --- notebooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("widgets", [False, True])
def test_progress_bars_break_no_notebook(
    widgets: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kernel in which Rich believes itself, with the packages that draw there or without."""
    shown: list[Any] = []

    class Output:
        def __enter__(self) -> Output:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def clear_output(self, wait: bool = False) -> None:
            shown.append("cleared")

    display = types.ModuleType("IPython.display")
    display.display = lambda *what, **_: shown.append(what)  # type: ignore[attr-defined]
    python = types.ModuleType("IPython")
    python.display = display  # type: ignore[attr-defined]
    drawing = types.ModuleType("ipywidgets")
    drawing.Output = Output  # type: ignore[attr-defined]
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setitem(sys.modules, "ipywidgets", drawing if widgets else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rac.embed([toy_image("red")] * 3)
    assert found.ok.all()
    told = capsys.readouterr()
    assert told.out == ""
    assert ("3/3" in told.err) is not widgets
    assert ("cleared" in shown) is widgets
    shown.clear()
    rac.embed([toy_image("red")], progress=False)
    assert shown == []
    assert capsys.readouterr().err == ""
