"""Drawings painted over, as shops photograph goods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.mini import goods
from training.mini.colours import COLOURS, name_pixels
from training.mini.goods import GoodsMaker
from training.mini.madephotos import PhotoMaker
from training.mini.pictures import Picture


def _drawn(draw: Callable[[ImageDraw.ImageDraw], None]) -> Picture:
    image = Image.new("RGBA", (120, 120))
    draw(ImageDraw.Draw(image))
    return Picture("test:thing", "thing", (), image.copy)


@pytest.fixture(scope="module")
def maker() -> GoodsMaker:
    grey = Image.new("RGB", (300, 300), (128, 128, 128))
    drawings = [
        _drawn(lambda on: on.ellipse((10, 30, 110, 90), fill=(40, 200, 60, 255))),
        _drawn(lambda on: on.rectangle((20, 10, 90, 110), fill=(90, 90, 90, 255))),
    ]
    return GoodsMaker(drawings, PhotoMaker([grey], []), [])


def test_goods_are_a_pure_function_of_seed_and_place(maker: GoodsMaker) -> None:
    first, again = (list(maker.stream(12, 3)) for _ in range(2))
    other = list(maker.stream(12, 4))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, other, strict=True))


def test_every_scene_says_its_colours(maker: GoodsMaker) -> None:
    scenes = list(maker.stream(200, 0))
    shares = np.stack([scene.colours for scene in scenes])
    assert {scene.pixels.shape for scene in scenes} == {(224, 224, 3)}
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    assert set(shares.argmax(1)) == set(range(len(COLOURS)))
    assert (shares.max(1) < 0.99).any()  # patterns are of two colours


def test_in_daylight_the_middle_is_of_the_colour_said(
    maker: GoodsMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goods, "camera", lambda picture, rng: picture)
    plain = [scene for scene in maker.stream(300, 1) if scene.colours.max() > 0.99]
    right = [
        (name_pixels(scene.pixels[100:124, 100:124]) == scene.colours.argmax()).mean() > 0.5
        for scene in plain
    ]
    # The others lie in a shade so deep that their pixels have another name.
    assert np.mean(right) > 0.75
