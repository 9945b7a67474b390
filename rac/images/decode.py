"""From encoded bytes to an RGB picture, within bounds; whatever fails, fails as ``BadImage``."""

from __future__ import annotations

import io
import math
import re
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from rac.images.colour import to_rgb
from rac.images.faults import BadImage, Reason
from rac.images.jpeg import Pixels, decode_plain_jpeg
from rac.images.limits import ImageLimits
from rac.images.signatures import describe, ends_early, other_kind, raster_kind, webp_size

DECODING_RULES = 2
"""Version of these rules: raised whenever the same bytes would give other pixels. It is part of
an encoder's identity."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Raster formats that are read. Formats that start other programs (PostScript), hold drawings
(WMF) or have no signature (TGA) are left out."""

# Pillow warns of large pictures and reads on; the limits here are checked right afterwards.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    data: bytes, limits: ImageLimits | None = None, *, target: int | None = None
) -> Image.Image:
    """Decode one picture to RGB, upright, over white.

    The size in the header is checked before a pixel is decoded. Of an animation the first frame
    is taken.

    Args:
        data: the encoded file.
        limits: bounds on bytes and pixels; None means the defaults of ``ImageLimits``.
        target: length in pixels that the shorter side must keep at least. With it a JPEG may be
            decoded at 1/2, 1/4 or 1/8 of its size, which is faster and changes the pixels
            slightly; without it every pixel is decoded.

    Returns:
        A picture of mode RGB.

    Raises:
        BadImage: for anything that is wrong with this one picture; nothing else.
    """
    limits = limits or ImageLimits()
    if not data:
        raise BadImage(Reason.NOT_AN_IMAGE, "an empty file")
    if len(data) > limits.max_bytes:
        raise BadImage(
            Reason.TOO_MANY_BYTES, f"{len(data):,} bytes; the limit is {limits.max_bytes:,}"
        )
    kind = raster_kind(data)
    if kind == "WebP" and (size := webp_size(data)):
        _check_size(size, limits)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, limits)
            if target is not None and image.format in ("JPEG", "MPO"):
                _draft(image, target)
            image.load()
            return to_rgb(_upright(image))
    except BadImage:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unidentified(data, kind, error, limits) from error
    except Exception as error:  # decoders raise almost every kind there is
        raise _broken(data, kind, error) from error


def decode_pixels(
    data: bytes, limits: ImageLimits | None = None, *, target: int | None = None
) -> Pixels:
    """Decode one picture to an array; as :func:`decode_image`, and faster for plain JPEGs.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BadImage: for anything that is wrong with this one picture; nothing else.
    """
    limits = limits or ImageLimits()
    plain = None
    if len(data) <= limits.max_bytes:
        plain = decode_plain_jpeg(data, limits, target)
    return np.array(decode_image(data, limits, target=target)) if plain is None else plain


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise BadImage(
            Reason.TOO_MANY_PIXELS,
            f"{width:,} x {height:,} = {width * height:,} pixels; "
            f"the limit is {limits.max_pixels:,}",
        )


def _draft(image: Image.Image, target: int) -> None:
    """Let the JPEG decoder skip detail that ``target`` pixels on the shorter side cannot show."""
    shrink = target / min(image.size)
    if 0 < shrink < 1:
        width, height = image.size
        image.draft(None, (math.ceil(width * shrink), math.ceil(height * shrink)))


def _upright(image: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; broken EXIF counts as none."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    # transpose keeps pixels and palette; what says how to read them must come along.
    turned.info.update(image.info)
    turned.format = image.format
    return turned


def _unidentified(data: bytes, kind: str | None, error: Exception, limits: ImageLimits) -> BadImage:
    if isinstance(error, Image.DecompressionBombError):
        count = re.search(r"\((\d+) pixels\)", str(error))
        said = f"{int(count[1]):,} pixels" if count else "too many pixels"
        return BadImage(
            Reason.TOO_MANY_PIXELS, f"its header says {said}; the limit is {limits.max_pixels:,}"
        )
    if kind is not None:
        if ends_early(data, kind):
            return BadImage(Reason.TRUNCATED, f"a {kind} that ends in its header")
        return BadImage(Reason.UNREADABLE, f"starts like a {kind}, but its header is broken")
    other = other_kind(data)
    if other is not None:
        return BadImage(Reason.UNSUPPORTED, f"{other} is not read; convert it to PNG or JPEG")
    return BadImage(Reason.NOT_AN_IMAGE, f"this is {describe(data)}")


def _broken(data: bytes, kind: str | None, error: Exception) -> BadImage:
    said = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return BadImage(Reason.UNREADABLE, "decoding it takes more memory than there is")
    name = kind or "picture"
    if "truncat" in said.lower() or (kind is not None and ends_early(data, kind)):
        return BadImage(Reason.TRUNCATED, f"the {name} ends too early ({said})")
    return BadImage(Reason.UNREADABLE, f"the {name} is broken ({said})")
