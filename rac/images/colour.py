"""From every pixel format that Pillow knows to 8-bit RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

_WHITE = (255, 255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture to RGB.

    Transparent pixels are laid over white. 16-bit grey is divided by 257, so that 65535 becomes
    255. CMYK follows Pillow, which takes every CMYK JPEG as Photoshop writes it (inverted); where
    a JPEG lacks Photoshop's marker that is taken back.

    Args:
        image: a loaded picture of any mode.

    Returns:
        A picture of mode RGB and the same size.
    """
    if image.mode == "CMYK":
        if image.format in ("JPEG", "MPO") and "adobe" not in image.info:
            image = ImageChops.invert(image)
        return image.convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert(
            "RGB"
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale grey values of unknown depth to 0..255.

    Integers are taken as 16-bit, and as 32-bit where one is larger than 16 bits hold. Floats are
    taken as 0..1, 0..255 or 0..65535, the smallest range that holds the largest value, and
    otherwise by that value.

    Args:
        values: (H, W) integers or floats; below 0 counts as 0, not-a-number as 0.

    Returns:
        (H, W) uint8.
    """
    if values.dtype.kind == "f":
        grey = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        ranges: tuple[float, ...] = (1.0, 255.0, 65535.0)
    else:
        grey = values.astype(np.float32)
        ranges = (65535.0, 4294967295.0 if values.dtype.kind == "u" else 2147483647.0)
    largest = float(grey.max(initial=0.0))
    top = next((bound for bound in ranges if largest <= bound), largest)
    np.clip(grey, 0.0, top, out=grey)
    grey *= 255.0 / top
    grey += 0.5
    return grey.astype(np.uint8)
