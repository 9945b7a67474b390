"""Photos of nothing in particular, to know what features of photos are like.

A few photographs say as much as a great many, if they are cut small, turned and repainted often
enough (Asano & Saeed, The Augmented Image Prior: Distilling 1000 Classes by
Extrapolating from a Single Image, ICLR 2023). Goods are mostly round things and boxes before
something else, so most pictures show such shapes, with the texture of a photograph and shaded as by
a lamp, alone or in a heap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from training.mini.colours import COLOURS, sample_paint
from training.mini.scenes import Scene, any_square, camera
from training.mini.sidebyside import made_side_by_side
from training.mini.trunk import IMAGE_SIZE, Floats, Pixels

_SIZE = (IMAGE_SIZE, IMAGE_SIZE)


@dataclass(frozen=True)
class PhotoMaker:
    """Makes pictures from photographs.

    Attributes:
        large: photographs of landscapes and surfaces.
        small: photographs of things; may be empty.
    """

    large: Sequence[Image.Image]
    small: Sequence[Image.Image]

    def stream(self, count: int, seed: int, workers: int = 0) -> Iterator[Scene]:
        """Yield ``count`` pictures; each depends on the seed and its place.

        Colours are those of the shapes in front, and all zero where they are not of one colour.
        """

        def make(index: int) -> Scene:
            rng = np.random.default_rng((seed, index))
            picture, colours = self._make(rng)
            return Scene(np.asarray(camera(picture, rng)), colours, -1)

        yield from made_side_by_side(make, count, workers)

    def _make(self, rng: np.random.Generator) -> tuple[Image.Image, Floats]:
        """Make one: a cut, a cut with another's patch, or shapes before a cut."""
        kind = rng.random()
        colours = np.zeros(len(COLOURS), dtype=np.float32)
        canvas = self.cut(rng)
        if kind < 0.1:
            width, height = (int(side) for side in rng.integers(40, 180, 2))
            patch = self.cut(rng).resize((width, height))
            left, top = rng.integers(IMAGE_SIZE - width), rng.integers(IMAGE_SIZE - height)
            canvas.paste(patch, (int(left), int(top)))
        elif kind > 0.4:
            canvas = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3))))
            colour = int(rng.integers(len(COLOURS))) if rng.random() < 0.6 else None
            if colour is not None:
                colours[colour] = 1.0
            if rng.random() < 0.5:
                self._place_one(canvas, colour, rng)
            else:
                self._heap(canvas, colour, rng)
        return canvas, colours

    def _place_one(self, canvas: Image.Image, colour: int | None, rng: np.random.Generator) -> None:
        shape = self._shape(int(rng.integers(110, 240)), colour, rng)
        across, down = (int(shift) for shift in rng.integers(-30, 30, 2))
        middle = IMAGE_SIZE // 2
        place = (middle - shape.width // 2 + across, middle - shape.height // 2 + down)
        canvas.paste(shape, place, shape)

    def _heap(self, canvas: Image.Image, colour: int | None, rng: np.random.Generator) -> None:
        size = int(rng.integers(45, 120))
        kinds = [self._shape(size, colour, rng) for _ in range(3)]
        for index in range(min(26, int(3 * (IMAGE_SIZE / size) ** 2))):
            shape = kinds[index % len(kinds)]
            left, top = (int(edge) for edge in rng.integers(-size // 2, IMAGE_SIZE, 2))
            canvas.paste(shape, (left, top), shape)

    def cut(self, rng: np.random.Generator) -> Image.Image:
        """Cut a square of any scale out of a photograph; often turned and repainted."""
        photos = self.small if self.small and rng.random() < 0.35 else self.large
        photo = photos[int(rng.integers(len(photos)))]
        most = min(photo.size)
        least = min(int(0.12 * most) + 20, most - 1)
        side = int(np.exp(rng.uniform(np.log(least), np.log(most))))
        cut = photo.resize(_SIZE, Image.Resampling.BICUBIC, any_square(photo, side, rng))
        if rng.random() < 0.5:
            turned = cut.rotate(float(rng.uniform(-45, 45)), Image.Resampling.BICUBIC)
            edge = IMAGE_SIZE // 8
            cut = turned.crop((edge, edge, IMAGE_SIZE - edge, IMAGE_SIZE - edge)).resize(_SIZE)
        return _repainted(cut, rng) if rng.random() < 0.6 else cut

    def _shape(self, size: int, colour: int | None, rng: np.random.Generator) -> Image.Image:
        """Make a thing, RGBA, ``size`` long: round or a box, textured, lit from one side.

        It is mostly of one of the basic colours, or of any where ``colour`` is None.
        """
        down, across = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
        power = 2 if rng.random() < 0.7 else 8
        angle = np.arctan2(down, across)
        distance = (np.abs(across) ** power + np.abs(down) ** power) ** (1 / power)
        reach = np.full_like(angle, 0.82)
        for wave in range(1, 5):
            reach += rng.normal(0, 0.06 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
        inside = np.clip((reach - distance) * size / 3, 0, 1)
        rise = np.sqrt(np.clip(1 - (distance / reach.clip(0.2)) ** 2, 0, 1))
        light = 0.5 * rng.normal(size=2)
        shade = np.clip(0.55 + 0.5 * (0.8 * rise + light[0] * across + light[1] * down), 0.2, 1.3)
        texture = np.asarray(self.cut(rng).resize((size, size)), dtype=np.float32)
        if colour is not None:
            kept = rng.uniform(0.05, 0.3)
            texture = (1 - kept) * 255 * sample_paint(COLOURS[colour], rng) + kept * texture
        elif rng.random() < 0.5:
            base = texture.mean((0, 1)) if rng.random() < 0.3 else _any_paint(rng)
            kept = rng.uniform(0.05, 0.5)
            texture = (1 - kept) * base + kept * texture
        values = np.dstack([np.clip(texture * shade[..., None], 0, 255), 255 * inside])
        shape = Image.fromarray(values.astype(np.uint8))
        flat = shape.resize((size, max(8, int(size * rng.uniform(0.45, 1)))))
        return flat.rotate(float(rng.uniform(0, 360)), expand=True)


def _repainted(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image.convert("HSV")).astype(np.float32)
    turn = rng.integers(256) if rng.random() < 0.5 else rng.integers(-15, 16)
    values[..., 0] = (values[..., 0] + turn) % 256
    values[..., 1] = np.clip(values[..., 1] * rng.uniform(0.4, 1.8), 0, 255)
    values[..., 2] = np.clip(values[..., 2] * rng.uniform(0.6, 1.4), 0, 255)
    return Image.fromarray(values.astype(np.uint8), "HSV").convert("RGB")


def _any_paint(rng: np.random.Generator) -> Pixels:
    hue, saturation, value = rng.random(), rng.uniform(0.3, 1), rng.uniform(0.4, 1)
    one = Image.new("HSV", (1, 1), tuple(int(255 * part) for part in (hue, saturation, value)))
    painted: Pixels = np.asarray(one.convert("RGB"))[0, 0]
    return painted
