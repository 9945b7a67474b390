from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.predictions import read_predictions
from rac.cli.app import app
from rac.embedding import collect_features, embed_table
from rac.tables import open_table
from tests.toy import ToyEncoder, write_toy_images
from training.fit import fit_classifier


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
