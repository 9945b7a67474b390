"""A deterministic toy encoder and toy images, for tests that need no network of neurons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rac.encoders.base import Encoder, FloatArray
from rac.images import Pixels

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (40, 60, 220),
    "yellow": (240, 220, 40),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
_SIZE = 8
_GREY = np.array([[0.5], [0.5], [0.5]], np.float32)


class ToyEncoder(Encoder):
    """Embeds an image as its mean colour around grey; a text as the colour words in it.

    The trunk features are the mean colour of the four quarters of the image, (12,).
    """

    def __init__(self, identity: str = "toy0") -> None:
        self.name = "toy"
        self.identity = identity
        self.embedding_dim = 3
        self.trunk_dim = 12
        self.image_size = (_SIZE, _SIZE)
        self.logit_scale = 20.0
        self.images_encoded = 0

    def preprocess(self, pixels: Pixels) -> Pixels:
        resized = Image.fromarray(pixels).resize((_SIZE, _SIZE), Image.Resampling.BILINEAR)
        return np.asarray(resized).transpose(2, 0, 1)

    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        self.images_encoded += len(pixels)
        values = pixels.astype(np.float32) / 255.0
        half = _SIZE // 2
        quarters = [values[:, :, a : a + half, b : b + half] for a in (0, half) for b in (0, half)]
        trunk = np.concatenate([quarter.mean(axis=(2, 3)) for quarter in quarters], axis=1)
        # A little off zero, so that a grey image has a direction too.
        return values.mean(axis=(2, 3)) - _GREY[:, 0] + 1e-3, trunk

    def _forward_texts(self, texts: list[str]) -> FloatArray:
        rows = []
        for text in texts:
            words = text.lower().replace(".", " ").replace(",", " ").split()
            found = [np.array(COLOURS[w], np.float32) / 255.0 for w in words if w in COLOURS]
            mean = np.mean(found, axis=0) if found else np.full(3, 0.5, np.float32)
            rows.append(mean - _GREY[:, 0] + 1e-3)
        return np.stack(rows).astype(np.float32)


def toy_image(colour: str, seed: int = 0, size: tuple[int, int] = (24, 20)) -> Image.Image:
    """A noisy image of one of COLOURS; the same for the same arguments."""
    noise = np.random.default_rng(seed).integers(-12, 13, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def write_toy_images(folder: Path, colours: Sequence[str]) -> list[str]:
    """Write one PNG for each colour word; give the file names, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number, colour in enumerate(colours):
        name = f"{number:04d}-{colour}.png"
        toy_image(colour, seed=number).save(folder / name)
        names.append(name)
    return names
