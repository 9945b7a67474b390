"""From encoded bytes to an RGB picture, within bounds; whatever fails, fails as ``BadImage``."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from PIL import Image, UnidentifiedImageError

from rac.images.budget import DecodingBudget
from rac.images.colour import rgb_pixels
from rac.images.faults import BadImage, Reason
from rac.images.headers import Header, check_header, read_header
from rac.images.jpeg import Pixels, decode_plain_jpeg
from rac.images.limits import ImageLimits
from rac.images.memory import give_back_freed_memory
from rac.images.signatures import describe, ends_early, other_kind, raster_kind

DECODING_RULES = 2
"""Version of these rules: raised whenever the same bytes would give other pixels. It is part of
an encoder's identity."""

_PILLOW_NAMES = {
    "AVIF": "AVIF",
    "BMP": "BMP",
    "GIF": "GIF",
    "JPEG": "JPEG",
    "JPEG 2000": "JPEG2000",
    "PNG": "PNG",
    "PPM": "PPM",
    "TIFF": "TIFF",
    "WebP": "WEBP",
}
FORMATS = tuple(_PILLOW_NAMES.values())
"""Raster formats that are read. Formats that start other programs (PostScript), hold drawings
(WMF) or have no signature (TGA) are left out."""

# Pillow warns of large pictures and reads on; the limits here are checked before.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_ORIENTATION_TAG = 0x0112
# What decoding has to take before it is worth some milliseconds to give that back.
_LARGE_BYTES = 50_000_000


def decode_image(
    data: bytes, limits: ImageLimits | None = None, *, target: int | None = None
) -> Image.Image:
    """Decode one picture to RGB, upright, over white.

    What the header announces is checked before a pixel is decoded. Of an animation the first frame
    is taken.

    Args:
        data: the encoded file.
        limits: bounds on what it may be; None means the defaults of ``ImageLimits``.
        target: length in pixels that the shorter side must keep at least. With it a JPEG may be
            decoded at 1/2, 1/4 or 1/8 of its size, which is faster and changes the pixels
            slightly; without it every pixel is decoded.

    Returns:
        A picture of mode RGB.

    Raises:
        BadImage: for anything that is wrong with this one picture; nothing else.
    """
    limits = limits or ImageLimits()
    kind, header = _announced(data, limits, target)
    return Image.fromarray(_decode(data, kind, header, limits, target))


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
    kind, header = _announced(data, limits, target)
    return _pixels(data, kind, header, limits, target)


@contextmanager
def decoded_pixels(
    data: bytes, limits: ImageLimits, budget: DecodingBudget, *, target: int | None = None
) -> Iterator[Pixels]:
    """Decode as :func:`decode_pixels`, once its memory is free, and hold that inside the block.

    Args:
        data: the encoded file.
        limits: bounds on what it may be.
        budget: shared by all that decode at the same time.
        target: length in pixels that the shorter side must keep at least.

    Returns:
        A context with (H, W, 3) uint8; no reference to it may outlive the block.

    Raises:
        BadImage: for anything that is wrong with this one picture; nothing else.
    """
    kind, header = _announced(data, limits, target)
    with budget.share(header.decoding_bytes(target)):
        yield _pixels(data, kind, header, limits, target)


def _pixels(
    data: bytes, kind: str, header: Header, limits: ImageLimits, target: int | None
) -> Pixels:
    plain = decode_plain_jpeg(data, limits, target)
    return _decode(data, kind, header, limits, target) if plain is None else plain


def _announced(data: bytes, limits: ImageLimits, target: int | None) -> tuple[str, Header]:
    """Give a file's kind and header, judged by the limits; no decoder has seen it yet."""
    if not data:
        raise BadImage(Reason.NOT_AN_IMAGE, "an empty file")
    if len(data) > limits.max_bytes:
        raise BadImage(
            Reason.TOO_MANY_BYTES, f"{len(data):,} bytes; the limit is {limits.max_bytes:,}"
        )
    kind = raster_kind(data)
    if kind is None:
        raise _other(data)
    header = read_header(data, kind, limits)
    if header is None:
        raise _unidentified(data, kind)
    check_header(header, kind, limits, target)
    return kind, header


def _decode(
    data: bytes, kind: str, header: Header, limits: ImageLimits, target: int | None
) -> Pixels:
    try:
        pixels, orientation = _load(data, kind, header, limits, target)
        if header.decoding_bytes(target) > _LARGE_BYTES:
            give_back_freed_memory()
        return _upright(pixels, orientation)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data, kind) from error
    except Image.DecompressionBombError as error:
        raise _bomb(error, limits) from error
    except Exception as error:  # decoders raise almost every kind there is
        raise _broken(data, kind, error) from error


def _load(
    data: bytes, kind: str, header: Header, limits: ImageLimits, target: int | None
) -> tuple[Pixels, int]:
    """Give the pixels as they are stored, and the orientation; the decoder is gone afterwards."""
    with Image.open(io.BytesIO(data), formats=(_PILLOW_NAMES[kind],)) as image:
        if image.width * image.height > header.pixels:
            # Where the decoder reads a header otherwise, its word counts.
            header = replace(header, width=image.width, height=image.height)
            check_header(header, kind, limits, target)
        if target is not None and image.format in ("JPEG", "MPO"):
            _draft(image, target)
        image.load()
        orientation = _orientation(image)
        # WebP and AVIF keep canvases of their own, which nothing reads any more.
        vars(image).pop("_decoder", None)
        return rgb_pixels(image), orientation


def _draft(image: Image.Image, target: int) -> None:
    """Let the JPEG decoder skip detail that ``target`` pixels on the shorter side cannot show."""
    shrink = target / min(image.size)
    if 0 < shrink < 1:
        width, height = image.size
        image.draft(None, (math.ceil(width * shrink), math.ceil(height * shrink)))


def _orientation(image: Image.Image) -> int:
    """Give the EXIF orientation, 1 where there is none; broken EXIF counts as none."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn (H, W, 3) as an EXIF orientation of 2 to 8 says; any other leaves it as it is.

    >>> _upright(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), 3)[0, 0].tolist()
    [3, 4, 5]
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _other(data: bytes) -> BadImage:
    other = other_kind(data)
    if other is not None:
        return BadImage(Reason.UNSUPPORTED, f"{other} is not read; convert it to PNG or JPEG")
    return BadImage(Reason.NOT_AN_IMAGE, f"this is {describe(data)}")


def _unidentified(data: bytes, kind: str) -> BadImage:
    if ends_early(data, kind):
        return BadImage(Reason.TRUNCATED, f"a {kind} that ends in its header")
    return BadImage(Reason.UNREADABLE, f"starts like a {kind}, but its header is broken")


def _bomb(error: Exception, limits: ImageLimits) -> BadImage:
    count = re.search(r"\((\d+) pixels\)", str(error))
    said = f"{int(count[1]):,} pixels" if count else "too many pixels"
    return BadImage(
        Reason.TOO_MANY_PIXELS, f"its header says {said}; the limit is {limits.max_pixels:,}"
    )


def _broken(data: bytes, kind: str, error: Exception) -> BadImage:
    said = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return BadImage(Reason.UNREADABLE, "decoding it takes more memory than there is")
    if "truncat" in said.lower() or ends_early(data, kind):
        return BadImage(Reason.TRUNCATED, f"the {kind} ends too early ({said})")
    return BadImage(Reason.UNREADABLE, f"the {kind} is broken ({said})")
