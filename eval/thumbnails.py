"""Small pictures for a page: any image made into a bounded JPEG inside a data URI, or a reason."""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_QUALITY = 72

ImageReader = Callable[[str], bytes]

ImageDecoder = Callable[[bytes, int], Image.Image]
"""From an encoded image and a length in pixels that its shorter side shall keep, to a picture of
mode RGB, upright and over white; raises :class:`NoThumbnail` for one that it does not decode."""


class NoThumbnail(ValueError):
    """An image cannot be shown; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture, or why there is none: exactly one of the two is set."""

    uri: str | None
    reason: str | None


@dataclass(frozen=True)
class FolderReader:
    """Reads image files below one folder; nothing is fetched and nothing outside is opened.

    Attributes:
        folder: where relative references start.
        allow_outside: also open absolute paths and paths that climb out with ``..``.
    """

    folder: Path
    allow_outside: bool = False

    def __call__(self, reference: str) -> bytes:
        """Give the bytes of an image file.

        Raises:
            NoThumbnail: it is not there, not a file, too large, outside, or on the network.
        """
        if "://" in reference:
            raise NoThumbnail("not fetched")
        # With every link followed: a link of the folder may lead out of it.
        top = os.path.realpath(self.folder)
        path = os.path.realpath(os.path.join(top, reference))
        if not self.allow_outside and os.path.commonpath([top, path]) != top:
            raise NoThumbnail("outside the image folder")
        try:
            if not os.path.isfile(path):
                raise NoThumbnail("missing")
            if os.path.getsize(path) > MAX_BYTES:
                raise NoThumbnail("too large")
            return Path(path).read_bytes()
        except (OSError, ValueError) as fault:
            if isinstance(fault, NoThumbnail):
                raise
            raise NoThumbnail("unreadable") from fault


def decode_small(data: bytes, keep: int) -> Image.Image:
    """Decode a picture of a common format, of bounded bytes and pixels; an :data:`ImageDecoder`.

    Raises:
        NoThumbnail: it is too large, or broken.
    """
    if len(data) > MAX_BYTES:
        raise NoThumbnail("too large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise NoThumbnail("too many pixels")
                image.draft("RGB", (keep, keep))
                image.load()
                return _on_white(ImageOps.exif_transpose(image))
    except NoThumbnail:
        raise
    except Image.DecompressionBombError as fault:
        raise NoThumbnail("too many pixels") from fault
    # Pillow's decoders raise whatever a damaged file leads them to.
    except Exception as fault:
        raise NoThumbnail("not a readable image") from fault


def make_thumbnail(
    reference: str | None,
    read: ImageReader,
    side: int,
    decode: ImageDecoder = decode_small,
) -> Thumbnail:
    """Make a thumbnail of at most ``side`` pixels a side, or give the reason why not.

    Args:
        reference: what ``read`` understands; None where the row has no image.
        read: gives the image's bytes; may raise :class:`NoThumbnail` or any OSError.
        side: pixels, at least 1.
        decode: makes a picture of the bytes.

    Returns:
        Never raises for a bad image: a report must not fail for one picture.
    """
    if not reference:
        return Thumbnail(uri=None, reason="no image")
    try:
        return Thumbnail(uri=_encode(decode(read(reference), 2 * side), side), reason=None)
    except NoThumbnail as fault:
        return Thumbnail(uri=None, reason=str(fault))
    except OSError:
        return Thumbnail(uri=None, reason="unreadable")


def _encode(small: Image.Image, side: int) -> str:
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
