"""Pictures that are made of a few photographs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training.mini.colours import COLOURS
from training.mini.madephotos import PhotoMaker


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


def test_the_colour_said_is_the_one_seen() -> None:
    """Before a grey ground, with a texture that has no colour of its own."""
    grey = Image.new("RGB", (300, 300), (128, 128, 128))
    maker = PhotoMaker([grey], [])
    hues = {"red": 0, "yellow": 42, "green": 85, "blue": 160}
    met = set()
    for scene in maker.stream(300, 1):
        named = COLOURS[int(scene.colours.argmax())]
        if scene.colours.any() and named in hues:
            values = np.asarray(Image.fromarray(scene.pixels).convert("HSV")).astype(int)
            strong = values[values[..., 1] > 90][:, 0]
            apart = np.abs((strong - hues[named] + 128) % 256 - 128)
            assert np.median(apart) < 30, named
            met.add(named)
    assert met == set(hues)
