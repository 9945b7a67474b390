"""Rendered models and packages: what is listed, what is kept, and real pictures where VTK is."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.mini import goods as goods_module
from training.mini import renderings as renderings_module
from training.mini.colours import COLOURS
from training.mini.goods import FLAVOURS, goods_pictures, list_goods
from training.mini.pictures import Picture
from training.mini.renderings import SIDES, Model3D, list_models, render_models
from training.mini.solids import SHAPES
from training.mini.studio import SIZE, Solid, Studio
from training.mini.trunk import Pixels

with_vtk = pytest.mark.skipif(
    importlib.util.find_spec("vtkmodules") is None, reason="needs vtk, of the extra `mini`"
)

CATALOGUE = """id#1=x
name#1=Sofa 3 seats
category#1=Living room
model#1=/x/sofa.obj
name#2=Garage door
category#2=Doors and windows
model#2=/x/door.obj
name#3=Wall switch
category#3=Office
model#3=/x/switch.obj
name#4=Caf\\u00e9 table
category#4=Kitchen
model#4=/x/table.obj
"""
SQUARE = "v -1 0 0\nv 1 0 0\nv 1 2 0\nv -1 2 0\nf 1 2 3 4\n"


class Recorder:
    """Stands for the studio: blank pictures, and a list of what was put on the stage."""

    seen: list[object]

    def __init__(self) -> None:
        type(self).seen = []

    @contextmanager
    def model(self, path: Path) -> Iterator[Path]:
        self.seen.append(path.name)
        yield path

    @contextmanager
    def solid(self, solid: Solid) -> Iterator[Solid]:
        self.seen.append(solid)
        yield solid

    def shot(self, _stage: object, rng: np.random.Generator) -> Pixels:
        return np.full((4, 4, 4), rng.integers(256), dtype=np.uint8)


@pytest.fixture
def catalogues(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "Some.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        archive.writestr("x/sofa.obj", SQUARE)
        archive.writestr("x/table.obj", SQUARE)
    return tmp_path


def test_items_are_listed_by_their_usual_names_and_parts_of_buildings_are_not(
    catalogues: Path,
) -> None:
    models = list_models(catalogues)
    assert [(model.number, model.name) for model in models] == [(1, "sofa"), (4, "café table")]
    assert list_models(catalogues / "missing") == []


def test_models_are_rendered_once(
    catalogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderings_module, "Studio", Recorder)
    models = list_models(catalogues)
    folder = tmp_path / "kept"
    render_models(models, folder, seed=0)
    assert Recorder.seen == ["sofa.obj", "table.obj"]
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(kept) == 2 * SIDES
    models[1].sides(folder)[-1].unlink()
    render_models(models, folder, seed=0)
    assert Recorder.seen == ["table.obj"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


def test_every_good_has_a_form_and_a_colour_that_are_known() -> None:
    goods = list_goods()
    assert all(package in SHAPES for good in goods for package in good.packages)
    assert all(colour in COLOURS for good in goods for colour in good.colours)
    juices = [good for good in goods if good.words[0] == "juice"]
    assert {good.flavour for good in juices} == set(FLAVOURS)
    assert "apple juice" in juices[0].names()


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_form_stands_upright_and_shows_the_front_of_its_print(name: str) -> None:
    corners, places = SHAPES[name](np.random.default_rng(0))
    assert corners.shape[1:] == (4, 3)
    assert places.shape[1:] == (4, 2)
    assert corners[..., 1].min() == pytest.approx(0)
    assert np.isfinite(corners).all()
    assert places.min() >= 0
    assert places[..., 1].max() <= 1
    # A lathe's last sector ends a sector beyond the right edge, where the print begins anew.
    assert places[..., 0].max() <= 1 + 1 / 28
    # Seen from the front, or from above where it lies: the front's print, and not mirrored.
    middle = corners.mean(1)
    axis = 1 if name == "flat box" else 2
    nearest = places[middle[:, axis] >= middle[:, axis].max() - 1e-6]
    assert nearest[..., 0].mean() < 0.5
    across = np.diff(corners[:, :2, 0], axis=1)[:, 0]
    facing = middle[:, axis] > 0.9 * middle[:, axis].max()
    along = np.diff(places[:, :2, 0], axis=1)[:, 0]
    assert (across[facing] * along[facing] >= 0).all()


def test_packages_are_made_once_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goods_module, "Studio", Recorder)
    goods = list_goods("+juice: carton; white\nmilk|cow milk: bottle; blue")
    monkeypatch.setattr(goods_module, "list_goods", lambda: goods)
    lemon = Picture("x:lemon", "Lemon", (), lambda: Image.new("RGBA", (9, 9), (255, 255, 0, 255)))
    pictures = list(goods_pictures([lemon], tmp_path, seed=3))
    made = {picture.key: picture.load().tobytes() for picture in pictures}
    assert len(made) == len(pictures) == (len(FLAVOURS) + 1) * 4 * 3
    assert len(Recorder.seen) == (len(FLAVOURS) + 1) * 4
    assert {picture.name for picture in pictures if "milk" in picture.name} == {"milk", "cow milk"}
    Recorder.seen.clear()
    again = list(goods_pictures([lemon], tmp_path, seed=3))
    assert Recorder.seen == []
    assert {picture.key: picture.load().tobytes() for picture in again} == made


@with_vtk
def test_a_model_stands_before_a_transparent_ground(catalogues: Path, tmp_path: Path) -> None:
    render_models(list_models(catalogues)[:1], tmp_path / "kept", seed=0)
    kept = Model3D(catalogues / "Some.sh3f", 1, "sofa", "").sides(tmp_path / "kept")
    seen = [np.asarray(Image.open(path))[..., 3] > 0 for path in kept]
    assert all(one.shape == (SIZE, SIZE) for one in seen)
    # A sheet, from some sides hardly to be seen.
    assert 0.1 < max(one.mean() for one in seen) < 0.9


@with_vtk
def test_the_print_is_seen_upright_and_not_mirrored() -> None:
    sheet = np.zeros((100, 200, 3), dtype=np.uint8)
    sheet[50:, :50] = (255, 0, 0)
    sheet[50:, 50:100] = (0, 0, 255)
    sheet[:50, :100] = (0, 255, 0)
    corners, places = SHAPES["box"](np.random.default_rng(0))

    studio = Studio()
    with studio.solid(Solid(corners, places, Image.fromarray(sheet))) as stage:
        seen = studio.seen_from(stage, turn=0, rise=0, lamps=[(0, 0, 1)])
    lower_left, lower_right, upper = seen[150, 115], seen[150, 140], seen[80, 128]
    assert lower_left[:3].argmax() == 0
    assert lower_right[:3].argmax() == 2
    assert upper[:3].argmax() == 1
