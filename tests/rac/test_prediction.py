from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from eval.errors import ReportFault
from eval.predictions import read_predictions
from rac import prediction
from rac.classifier import RacClassifier
from rac.cli.app import app
from rac.embedding import collect_features, embed_table
from rac.encoders.base import FloatArray
from rac.errors import InputError
from rac.images import Pixels
from rac.prediction import PredictionSummary, predict_to_file
from rac.prediction_features import Embedder
from rac.tables import open_table
from retrieval_index import EncoderMismatch
from tests.toy import ToyEncoder, write_toy_images
from training.crossfit import LabelledFeatures
from training.fit import fit_classifier
from training.memory_rows import MemoryRows


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``items.csv`` (one image broken, one missing) and a trained ``model``."""
    monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    colours = ["red"] * 6 + ["green"] * 4 + ["blue"] * 2
    names = write_toy_images(tmp_path / "images", colours)
    (tmp_path / "images" / "broken.png").write_text("not an image")
    with open(tmp_path / "items.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "label"])
        for row, (name, colour) in enumerate(zip(names, colours, strict=True)):
            writer.writerow([f"item{row}", f"images/{name}", colour])
        writer.writerow(["bad", "images/broken.png", "red"])
        writer.writerow(["gone", "images/gone.png", ""])
    features = collect_features(
        embed_table(open_table(tmp_path / "items.csv"), ToyEncoder(), progress=False), ToyEncoder()
    )
    fit_classifier(
        features.trunk[:12],
        colours,
        [item.id for item in features.items[:12]],
        encoder="toy0",
        encoder_name="toy",
        out=tmp_path / "model",
        epochs=1,
    )
    return tmp_path


def predict(folder: Path, out: str, *more: str) -> str:
    arguments = ["predict", str(folder / "items.csv"), "--model", str(folder / "model")]
    result = CliRunner().invoke(app, [*arguments, "-o", str(folder / out), *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_parquet_holds_everything_and_the_quarantine_the_rest(catalogue: Path) -> None:
    assert "14 rows, 2 bad images" in predict(catalogue, "found.parquet")
    found = read_predictions(catalogue / "found.parquet")
    assert found.predictions[:12] == found.label_cells[:12]
    assert found.predictions[12:] == (None, None)
    assert found.scores is not None
    assert found.train_counts is not None
    assert found.train_counts.tolist() == [2, 4, 6]
    with open(catalogue / "found.quarantine.csv") as handle:
        bad = list(csv.DictReader(handle))
    assert [(row["id"], row["row"]) for row in bad] == [("bad", "12"), ("gone", "13")]
    assert all(row["reason"] and row["detail"] for row in bad)


def test_csv_holds_what_a_spreadsheet_needs(catalogue: Path) -> None:
    predict(catalogue, "found.csv", "--batch-size", "5")
    with open(catalogue / "found.csv") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["id", "label", "prediction", "confidence"]
    assert rows[0]["prediction"] == "red"
    assert 0 < float(rows[0]["confidence"]) <= 1
    assert rows[12]["prediction"] == rows[12]["confidence"] == ""


def test_another_ending_is_refused_before_the_work(catalogue: Path) -> None:
    arguments = ["predict", str(catalogue / "items.csv"), "--model", str(catalogue / "model")]
    result = CliRunner().invoke(app, [*arguments, "-o", str(catalogue / "found.xlsx")])
    assert result.exit_code != 0
    assert "found.xlsx" in str(result.exception)


class Interrupted(ToyEncoder):
    """Ends, as by a kill, before more than eight images have gone through it."""

    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        if self.images_encoded + len(pixels) > 8:
            raise KeyboardInterrupt
        return super()._forward_images(pixels)


def run(folder: Path, out: str, encoder: ToyEncoder, **options: object) -> PredictionSummary:
    return predict_to_file(
        open_table(folder / "items.csv"),
        RacClassifier.load(folder / "model"),
        encoder,
        folder / out,
        batch_size=2,
        progress=False,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def cut_short(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of ``items.csv`` into ``found.parquet`` and ``found.csv`` that ended in the middle."""
    monkeypatch.setattr(prediction, "PART_ROWS", 4)
    for out in ("found.parquet", "found.csv"):
        with pytest.raises(KeyboardInterrupt):
            run(catalogue, out, Interrupted())
        assert not (catalogue / out).exists()
    return catalogue


def test_a_run_that_was_cut_short_is_gone_on_with(cut_short: Path) -> None:
    encoder = ToyEncoder()
    done = run(cut_short, "found.parquet", encoder)
    assert 4 <= done.resumed_rows < 12
    assert encoder.images_encoded <= 12 - done.resumed_rows
    assert (done.rows, done.bad_images) == (14, 2)
    run(cut_short, "found.csv", ToyEncoder())
    run(cut_short, "whole.parquet", ToyEncoder())
    run(cut_short, "whole.csv", ToyEncoder())
    for name in ("{}.csv", "{}.quarantine.csv"):
        found, whole = (cut_short / name.format(stem) for stem in ("found", "whole"))
        assert found.read_bytes() == whole.read_bytes()
    found, whole = (pq.read_table(cut_short / f"{stem}.parquet") for stem in ("found", "whole"))
    assert found.equals(whole, check_metadata=True)
    assert not list(cut_short.glob("*.unfinished"))


def test_the_folder_of_a_run_is_its_owners_and_no_link(cut_short: Path) -> None:
    folder = cut_short / "found.csv.unfinished"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(cut_short / "elsewhere")
    folder.symlink_to(cut_short / "elsewhere")
    before = sorted(path.name for path in (cut_short / "elsewhere").iterdir())
    for options in ({}, {"restart": True}):
        with pytest.raises(InputError, match=r"found\.csv\.unfinished: a link is in the place"):
            run(cut_short, "found.csv", ToyEncoder(), **options)
    assert sorted(path.name for path in (cut_short / "elsewhere").iterdir()) == before


def test_what_a_run_was_begun_with_must_not_change(cut_short: Path) -> None:
    with pytest.raises(InputError, match="whose name is 'rac', not 'other'"):
        run(cut_short, "found.parquet", ToyEncoder(), name="other")
    table = cut_short / "items.csv"
    table.write_text(table.read_text().replace("item1,", "another,"))
    with pytest.raises(InputError, match=r"items\.csv: ids or image cells .* --restart"):
        run(cut_short, "found.parquet", ToyEncoder())
    done = run(cut_short, "found.parquet", ToyEncoder(), restart=True)
    assert (done.rows, done.resumed_rows) == (14, 0)


def test_labels_of_all_parts_without_a_class_are_told(
    catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "PART_ROWS", 4)
    table = catalogue / "items.csv"
    rows = table.read_text().splitlines()
    rows[1] = rows[1].rsplit(",", 1)[0] + ",mauve"
    rows[12] = rows[12].rsplit(",", 1)[0] + ",beige"
    table.write_text("\n".join(rows) + "\n")
    run(catalogue, "found.parquet", ToyEncoder())
    found = read_predictions(catalogue / "found.parquet")
    assert found.metadata["labels_without_class"] == ["beige", "mauve"]
    assert found.label_cells[0] is None


def test_an_id_that_two_parts_have_is_an_error(
    catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "PART_ROWS", 4)
    table = catalogue / "items.csv"
    table.write_text(table.read_text().replace("item11,", "item0,"))
    with pytest.raises(ReportFault, match="'item0' is also the id of row 1"):
        run(catalogue, "found.parquet", ToyEncoder())
    assert not (catalogue / "found.parquet").exists()


def test_a_table_without_rows_gives_a_file_without_rows(catalogue: Path) -> None:
    (catalogue / "items.csv").write_text("id,image,label\n")
    for out in ("found.parquet", "found.csv"):
        assert run(catalogue, out, ToyEncoder()).rows == 0
    assert len(read_predictions(catalogue / "found.parquet")) == 0
    assert (catalogue / "found.csv").read_text() == "id,label,prediction,confidence\n"


@pytest.fixture
def two_encoders(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same catalogue with a ``two`` beside the model: its memory is of another encoder."""
    monkeypatch.setattr("rac.encoders.load_encoder", lambda name, **_: ToyEncoder(name))
    table = open_table(catalogue / "items.csv")
    features = collect_features(embed_table(table, ToyEncoder(), progress=False), ToyEncoder())
    labels = [item.label or "" for item in features.items[:12]]
    ids = [item.id for item in features.items[:12]]
    rows = LabelledFeatures(features.embedding[:12], labels, ids)
    fit_classifier(
        features.trunk[:12],
        labels,
        ids,
        encoder="tuned",
        encoder_name="tuned",
        validation=(features.trunk[:12], labels),
        memory_rows=MemoryRows(rows, rows, "frozen", "frozen", "embedding"),
        out=catalogue / "two",
        epochs=1,
    )
    return catalogue


def test_a_memory_with_an_encoder_of_its_own_is_asked_with_its_features(two_encoders: Path) -> None:
    table = str(two_encoders / "items.csv")
    asked = [table, "--model", str(two_encoders / "two"), "-o", str(two_encoders / "two.parquet")]
    result = CliRunner().invoke(app, ["predict", *asked, "--batch-size", "5"])
    assert result.exit_code == 0, result.output
    found = read_predictions(two_encoders / "two.parquet")
    assert found.predictions[:12] == found.label_cells[:12]
    assert found.predictions[12:] == (None, None)
    features = collect_features(
        embed_table(open_table(table), ToyEncoder(), progress=False), ToyEncoder()
    )
    model = RacClassifier.load(two_encoders / "two")
    expected = model.predict(features.trunk[:12], features.embedding[:12])
    assert found.scores is not None
    np.testing.assert_allclose(found.scores[:12], expected.probabilities, rtol=1e-5)

    # Another encoder of the same name, and one that nobody asks.
    result = CliRunner().invoke(app, ["predict", *asked, "--memory-encoder", "toy1"])
    assert isinstance(result.exception, EncoderMismatch)
    other = [table, "--model", str(two_encoders / "model"), "--encoder", "toy0"]
    out = ["-o", str(two_encoders / "one.parquet"), "--memory-encoder", "frozen"]
    result = CliRunner().invoke(app, ["predict", *other, *out])
    assert "same encoder as its base branch" in str(result.exception)
    with pytest.raises(InputError, match="has an encoder of its own, frozen"):
        predict_to_file(open_table(table), model, ToyEncoder("tuned"), two_encoders / "x.csv")


def test_rows_are_added_to_such_a_memory_by_its_own_encoder(two_encoders: Path) -> None:
    more = two_encoders / "more.csv"
    first = (two_encoders / "items.csv").read_text().splitlines()[1].split(",")[1]
    more.write_text(f"id,image,label\nnewer,{first},red\n")
    memory = str(two_encoders / "two" / "memory")
    result = CliRunner().invoke(app, ["index", "add", memory, str(more)])
    assert result.exit_code == 0, result.output
    model = RacClassifier.load(two_encoders / "two", encoder="tuned", memory_encoder="frozen")
    assert len(model.memory) == 13
    np.testing.assert_allclose(model.memory.vectors[12], model.memory.vectors[0], atol=1e-6)


def test_a_run_with_two_encoders_that_was_cut_short_is_gone_on_with(
    two_encoders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "PART_ROWS", 4)
    model = RacClassifier.load(two_encoders / "two")

    def go(out: str, encoder: ToyEncoder) -> PredictionSummary:
        return predict_to_file(
            open_table(two_encoders / "items.csv"),
            model,
            ToyEncoder("tuned"),
            two_encoders / out,
            batch_size=2,
            memory=Embedder(encoder),
            progress=False,
        )

    with pytest.raises(KeyboardInterrupt):
        go("found.parquet", Interrupted("frozen"))
    assert go("found.parquet", ToyEncoder("frozen")).resumed_rows >= 4
    go("whole.parquet", ToyEncoder("frozen"))
    found, whole = (pq.read_table(two_encoders / f"{stem}.parquet") for stem in ("found", "whole"))
    assert found.equals(whole, check_metadata=True)
