from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from rac.encoders import load_encoder
from tests.tiny_models import VISIONS, write_tiny_model
from tests.toy import write_toy_images

COLOURS = ["red"] * 8 + ["green"] * 6 + ["blue"] * 4


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One encoder's folder for each kind of image tower."""
    home = tmp_path_factory.mktemp("towers")
    return {vision: write_tiny_model(home / vision, vision) for vision in VISIONS}


@pytest.fixture(autouse=True)
def quick_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Encoders run in torch without a measurement of what else there is; Lightning is quiet."""
    quick = partial(load_encoder, runtime="torch", precision="float32", device="cpu")
    monkeypatch.setattr("rac.encoders.load_encoder", quick)
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(before)


def write_table(folder: Path, name: str, colours: list[str], *, broken: bool = False) -> Path:
    """A CSV of toy images by colour; with ``broken``, its second row is no image."""
    names = write_toy_images(folder / name, colours)
    rows = [
        [f"{name}{row}", f"{name}/{file}", colour]
        for row, (file, colour) in enumerate(zip(names, colours, strict=True))
    ]
    if broken:
        (folder / name / "broken.png").write_text("not an image")
        rows.insert(1, [f"{name}-bad", f"{name}/broken.png", "red"])
    path = folder / f"{name}.csv"
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerows([["id", "image", "label"], *rows])
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> tuple[Path, Path]:
    """Training rows, one of which is broken, and validation rows, one of an unknown class."""
    train = write_table(tmp_path, "train", COLOURS, broken=True)
    val = write_table(tmp_path, "val", ["red", "green", "blue", "black"])
    return train, val
