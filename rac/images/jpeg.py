"""JPEG files, which most catalogues are made of, straight to an array by libjpeg-turbo."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image

from rac.images.limits import ImageLimits

Pixels = npt.NDArray[np.uint8]

_MAGIC = b"\xff\xd8\xff"
_COLOUR_SPACES = {"YCbCr": "RGB", "RGB": "RGB", "Gray": "GRAY"}
# An EXIF block lies before the picture's data; its marker segment holds at most 64 KiB.
_EXIF_WITHIN = 1 << 17


def decode_plain_jpeg(data: bytes, limits: ImageLimits, target: int | None) -> Pixels | None:
    """Decode the plain case of a JPEG: whole, grey or YCbCr, upright.

    Args:
        data: the encoded file.
        limits: the pixels that it may have.
        target: length in pixels that the shorter side must keep at least; None decodes them all.

    Returns:
        (H, W, 3) uint8, or None for whatever is not the plain case (CMYK, turned by EXIF, a
        broken file, a size past the limits), which the slower way judges.
    """
    if not data.startswith(_MAGIC):
        return None
    scaling: dict[str, Any] = {}
    if target is not None:
        # Factors below 2 have no fast routine: they cost more than they save.
        scaling = {"min_height": target, "min_width": target, "min_factor": 2}
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > limits.max_pixels or space not in _COLOUR_SPACES or _turned(data):
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(data, colorspace=_COLOUR_SPACES[space], **scaling)
    except Exception:  # the slower way says what is wrong, whatever it is
        return None
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _turned(data: bytes) -> bool:
    if data.find(b"Exif\0\0", 0, _EXIF_WITHIN) < 0:
        return False
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)
    except Exception:  # broken EXIF; the slower way knows what to do with it
        return True
