"""Pictures that are made of a few photographs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training.mini import madephotos
from training.mini.colours import COLOURS, PAINTS
from training.mini.madephotos import PhotoMaker
from training.mini.scenes import camera


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 12, 16, 3)).astype(np.uint8)
    return [Image.fromarray(one).resize((400, 300)) for one in coarse]


def test_a_picture_depends_on_the_seed_and_its_place_only(photographs: list[Image.Image]) -> None:
    maker = PhotoMaker(photographs, [])
    many, few = list(maker.stream(6, 3)), list(maker.stream(2, 3))
    assert np.array_equal(many[1].pixels, few[1].pixels)
    assert not np.array_equal(many[0].pixels, many[1].pixels)
    assert not np.array_equal(many[0].pixels, next(maker.stream(1, 4)).pixels)


def test_every_kind_of_picture_can_be_made(photographs: list[Image.Image]) -> None:
    """Sixty draws meet cuts, patches, single shapes and heaps; none fails or is of one colour."""
    maker = PhotoMaker(photographs, [one.resize((110, 100)) for one in photographs])
    scenes = list(maker.stream(60, 0))
    for scene in scenes:
        assert scene.pixels.shape == (224, 224, 3)
        assert scene.pixels.dtype == np.uint8
        assert scene.pixels.std() > 2
    assert {float(scene.colours.sum()) for scene in scenes} == {0.0, 1.0}


def test_the_colour_said_is_the_one_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a grey ground, with a texture that has no colour of its own, and in white light."""
    monkeypatch.setattr(madephotos, "camera", lambda picture, rng: picture)
    grey = Image.new("RGB", (300, 300), (128, 128, 128))
    met = set()
    for scene in PhotoMaker([grey], []).stream(300, 1):
        named = COLOURS[int(scene.colours.argmax())]
        if scene.colours.any() and named in ("red", "yellow", "green", "blue"):
            values = np.asarray(Image.fromarray(scene.pixels).convert("HSV")).astype(float)
            degrees = values[values[..., 1] > 60][:, 0] * 360 / 256
            hues = [paint.hue for paint in PAINTS[named]]
            low, high = min(start for start, _ in hues), max(end for _, end in hues)
            apart = np.abs((degrees - (low + high) / 2 + 180) % 360 - 180)
            assert np.median(apart) <= (high - low) / 2 + 3, named
            met.add(named)
    assert met == {"red", "yellow", "green", "blue"}


def test_a_camera_sees_grey_in_the_light_of_lamps() -> None:
    grey = Image.new("RGB", (224, 224), (128, 128, 128))
    seen = np.stack(
        [np.asarray(camera(grey, np.random.default_rng(i))).mean((0, 1)) for i in range(200)]
    )
    warmth = seen[:, 0] / seen[:, 2]
    assert 1.02 < np.median(warmth) < 1.25
    assert warmth.min() < 0.95
    assert warmth.max() > 1.3
