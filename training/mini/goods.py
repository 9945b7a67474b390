"""Goods of one colour, as shops photograph them: what colours are learnt from.

Drawings have the colours of drawings, and made photos show round things and boxes. Goods have a
thousand outlines; most lie on white, hardly lit from anywhere, and catalogues keep them small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from training.mini.colours import COLOURS, sample_paint
from training.mini.madephotos import PhotoMaker
from training.mini.pictures import Picture
from training.mini.scenes import (
    Scene,
    background,
    camera,
    cut_out,
    drawn_relief,
    paste_at,
    placed,
    shaded,
    tint,
)
from training.mini.sidebyside import made_side_by_side
from training.mini.trunk import IMAGE_SIZE, Floats

_SIZE = (IMAGE_SIZE, IMAGE_SIZE)
_LARGEST = 300  # pixels of a drawing; more are not seen


@dataclass(frozen=True)
class GoodsMaker:
    """Paints drawings over.

    Attributes:
        drawings: whose outlines are used; each can be loaded.
        photos: whose cuts are their texture.
        backgrounds: photographs to lie before; may be empty.
    """

    drawings: Sequence[Picture]
    photos: PhotoMaker
    backgrounds: Sequence[Image.Image]

    def stream(self, count: int, seed: int, workers: int = 0) -> Iterator[Scene]:
        """Yield ``count`` scenes with known colours; each depends on the seed and its place."""

        def make(index: int) -> Scene:
            # The third number keeps the draws apart from those of made photos.
            return self._make(np.random.default_rng((seed, index, 1)))

        yield from made_side_by_side(make, count, workers)

    def _make(self, rng: np.random.Generator) -> Scene:
        cut = cut_out(self.drawings[int(rng.integers(len(self.drawings)))].load())
        cut.thumbnail((_LARGEST, _LARGEST))
        if rng.random() < 0.5:
            thing, colours, pattern = tint(cut, rng)
        else:
            thing, colours = self._textured(cut, rng)
            pattern = 0
        if rng.random() < 0.5:
            paper = int(rng.integers(235, 256)) if rng.random() < 0.5 else 255
            canvas = Image.new("RGB", _SIZE, (paper, paper, paper))
        else:
            canvas = background(self.backgrounds, rng)
        angle = float(rng.uniform(-20, 20)) if rng.random() < 0.5 else 0.0
        thing = placed(thing, int(rng.integers(110, 230)), angle)
        if rng.random() < 0.4:
            thing = shaded(thing, rng)
        across, down = (IMAGE_SIZE / 2 + float(shift) for shift in rng.uniform(-20, 20, 2))
        paste_at(canvas, thing, (across, down))
        if rng.random() < 0.3:
            small = int(rng.integers(28, 112))
            canvas = canvas.resize((small, small), Image.Resampling.BOX)
            canvas = canvas.resize(_SIZE, Image.Resampling.BICUBIC)
        if rng.random() < 0.6:
            canvas = camera(canvas, rng)
        return Scene(np.asarray(canvas), colours, pattern)

    def _textured(self, cut: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Floats]:
        """Paint a cut-out in one colour, with a photograph's texture and light from one side."""
        colour = int(rng.integers(len(COLOURS)))
        values = np.asarray(cut).astype(np.float32)
        relief, _ = drawn_relief(values)
        shade = 1 + rng.uniform(0, 0.5) * relief
        down, across = np.mgrid[-1 : 1 : cut.height * 1j, -1 : 1 : cut.width * 1j]
        lamp = 0.15 * rng.normal(size=2)
        shade += lamp[0] * across + lamp[1] * down
        shade -= rng.uniform(0, 0.15) * (across**2 + down**2)
        texture = np.asarray(self.photos.cut(rng).resize(cut.size)).astype(np.float32)
        if rng.random() < 0.5:
            texture = texture.mean(-1, keepdims=True)
        texture = (texture / texture.mean((0, 1)).clip(1)).clip(0, 2)
        kept = rng.uniform(0.05, 0.5)
        paint = 255 * sample_paint(COLOURS[colour], rng) * (1 - kept + kept * texture)
        values[..., :3] = np.clip(paint * shade.clip(0.3, 1.3)[..., None], 0, 255)
        colours = np.zeros(len(COLOURS), dtype=np.float32)
        colours[colour] = 1.0
        return Image.fromarray(values.astype(np.uint8)), colours
