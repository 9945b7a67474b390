"""From training to a report: rows that the model has seen are refused, whatever they are called."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from eval.errors import ReportFault
from eval.examples import NEIGHBOUR_SIDE, QUERY_SIDE
from eval.thumbnails import make_thumbnail
from rac.cli.app import app
from tests.toy import ToyEncoder, toy_image
from training.cli import run

COLOURS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of toy images, and a model trained on ``train/`` and chosen by ``val/``."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder())
        patch.setenv("RAC_CACHE_HOME", str(folder / "cache"))
        for seed, split in enumerate(("train", "val", "test")):
            write_table(folder / split, 100 * seed)
        tables = {name: str(folder / name / "items.csv") for name in ("train", "val")}
        run(
            [
                *("fit", "--data.train", tables["train"], "--data.val", tables["val"]),
                *("--trainer.default_root_dir", str(folder / "run"), "--trainer.max_epochs", "1"),
                *("--trainer.enable_progress_bar", "false"),
            ]
        )
        for split in ("train", "val", "test"):
            predict(folder / split / "items.csv", folder)
        # The pictures of training as cells of another table, under other ids.
        cells = [path.read_bytes() for path in sorted((folder / "train/images").iterdir())]
        ids = [f"copy {row}" for row in range(len(cells))]
        copied = pa.table({"id": ids, "image": cells, "label": [*COLOURS * 3, *COLOURS[::-1]]})
        (folder / "copies").mkdir()
        pq.write_table(copied, folder / "copies" / "items.parquet")
        predict(folder / "copies" / "items.parquet", folder)
    return folder


def write_table(folder: Path, seed: int) -> None:
    """Twelve images, of the same names in every folder; the last one has a wrong label."""
    (folder / "images").mkdir(parents=True)
    with open(folder / "items.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "label"])
        for row, colour in enumerate(COLOURS * 4):
            toy_image(colour, seed + row).save(folder / f"images/{row:02d}.png")
            writer.writerow([f"item{row}", f"images/{row:02d}.png", colour if row < 11 else "red"])


def predict(table: Path, folder: Path) -> None:
    out = folder / f"{table.parent.name}.parquet"
    result = CliRunner().invoke(
        app, ["predict", str(table), "--model", str(folder / "run/model"), "-o", str(out)]
    )
    assert result.exit_code == 0, result.output


def report(file: Path, out: Path, *more: str):
    return CliRunner().invoke(app, ["report", str(file), "-o", str(out), *more])


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train", "12 test rows hold images that were trained on"),
        ("copies", r"12 test rows hold images that were trained on \('copy 0'"),
        ("val", "12 test rows hold images that the run's settings were chosen by"),
    ],
)
def test_rows_that_the_model_has_seen_are_refused(
    shop: Path, tmp_path: Path, split: str, said: str
) -> None:
    result = report(shop / f"{split}.parquet", tmp_path / "out")
    assert isinstance(result.exception, ReportFault)
    assert re.search(said, str(result.exception)), result.exception
    assert not (tmp_path / "out").exists()
    forced = report(shop / f"{split}.parquet", tmp_path / "out", "--force")
    assert forced.exit_code == 0, forced.output
    assert "Do not trust these figures" in (tmp_path / "out/report.html").read_text("utf-8")


def test_rows_that_it_has_not_seen_are_reported_with_pictures(shop: Path, tmp_path: Path) -> None:
    """Test and training images share their names, and lie in two folders."""
    result = report(shop / "test.parquet", tmp_path / "out")
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    honesty = metrics["runs"][0]["honesty"]
    for role in ("training", "selection"):
        assert (honesty[role]["checked"], honesty[role]["rows"]) == ("content", 0)
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert thumbnail(shop / "test/images/11.png", QUERY_SIDE) in page
    shown = [row for row in range(12) if thumbnail(near(shop, row), NEIGHBOUR_SIDE) in page]
    assert shown, "no neighbour of the training folder is shown"


def test_pictures_in_cells_are_shown(shop: Path, tmp_path: Path) -> None:
    assert report(shop / "copies.parquet", tmp_path / "out", "--force").exit_code == 0
    page = (tmp_path / "out/report.html").read_text("utf-8")
    pictures = [thumbnail(near(shop, row), QUERY_SIDE) for row in range(12)]
    assert any(picture in page for picture in pictures)


def near(shop: Path, row: int) -> Path:
    return shop / f"train/images/{row:02d}.png"


def thumbnail(path: Path, side: int) -> str:
    uri = make_thumbnail(str(path), lambda name: Path(name).read_bytes(), side).uri
    assert uri is not None
    return uri
