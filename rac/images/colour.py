"""From every pixel format that Pillow knows to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from rac.images.jpeg import Pixels

_WHITE = (255, 255, 255, 255)
# A picture is converted strip by strip, so that beside it and the result nothing of its size lies.
_STRIP_PIXELS = 1 << 20


def rgb_pixels(image: Image.Image) -> Pixels:
    """Convert a loaded picture to RGB.

    Transparent pixels are laid over white. 16-bit grey is divided by 257, so that 65535 becomes
    255. CMYK follows Pillow, which takes every CMYK JPEG as Photoshop writes it (inverted); where
    a JPEG lacks Photoshop's marker that is taken back.

    Args:
        image: a loaded picture of any mode.

    Returns:
        (H, W, 3) uint8.
    """
    width, height = image.size
    upside_down = image.format in ("JPEG", "MPO") and "adobe" not in image.info
    top = _top(image) if _is_deep(image) else 0.0
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    row = 0
    for strip in _strips(image):
        pixels[row : row + strip.height] = np.asarray(_to_rgb(strip, top, upside_down))
        row += strip.height
    return pixels


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    rows = max(_STRIP_PIXELS // max(width, 1), 1)
    if rows >= height:
        yield image
        return
    for row in range(0, height, rows):
        yield image.crop((0, row, width, min(row + rows, height)))


def _to_rgb(image: Image.Image, top: float, upside_down: bool) -> Image.Image:
    if image.mode == "CMYK":
        if upside_down:
            image = ImageChops.invert(image)
        return image.convert("RGB")
    if _is_deep(image):
        return Image.fromarray(_to_eight_bits(np.asarray(image), top)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert(
            "RGB"
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Say whether a picture is grey of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def _top(image: Image.Image) -> float:
    """Give the value that becomes white in a grey picture of unknown depth.

    Integers are taken as 16-bit, and as 32-bit where one is larger than 16 bits hold. Floats are
    taken as 0..1, 0..255 or 0..65535, the smallest range that holds the largest value, and
    otherwise by that value.
    """
    largest = 0.0
    kind = "f"
    for strip in _strips(image):
        values = np.asarray(strip)
        kind = values.dtype.kind
        largest = max(largest, float(_as_floats(values).max(initial=0.0)))
    ranges = {
        "f": (1.0, 255.0, 65535.0),
        "u": (65535.0, 4294967295.0),
        "i": (65535.0, 2147483647.0),
    }
    return next((bound for bound in ranges[kind] if largest <= bound), largest)


def _as_floats(values: NDArray[np.generic]) -> NDArray[np.float32]:
    grey = values.astype(np.float32)
    return np.nan_to_num(grey, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _to_eight_bits(values: NDArray[np.generic], top: float) -> NDArray[np.uint8]:
    """Scale grey values from 0..``top`` to 0..255.

    Args:
        values: (H, W) integers or floats; below 0 counts as 0, not-a-number as 0.
        top: what becomes 255.

    Returns:
        (H, W) uint8.
    """
    grey = _as_floats(values)
    np.clip(grey, 0.0, top, out=grey)
    grey *= 255.0 / top
    grey += 0.5
    return grey.astype(np.uint8)
