"""From bytes of a known format to what they announce."""

from __future__ import annotations

from collections.abc import Callable

from rac.images.headers.avif import read_avif
from rac.images.headers.bitmap import read_bmp, read_ppm
from rac.images.headers.gif import read_gif
from rac.images.headers.header import Header, Tally
from rac.images.headers.jpeg import read_jpeg
from rac.images.headers.jpeg2000 import read_jpeg2000
from rac.images.headers.png import read_png
from rac.images.headers.tiff import read_tiff
from rac.images.headers.webp import read_webp
from rac.images.limits import ImageLimits

_READERS: dict[str, Callable[[bytes, Tally], Header | None]] = {
    "AVIF": read_avif,
    "BMP": read_bmp,
    "GIF": read_gif,
    "JPEG": read_jpeg,
    "JPEG 2000": read_jpeg2000,
    "PNG": read_png,
    "PPM": read_ppm,
    "TIFF": read_tiff,
    "WebP": read_webp,
}


def read_header(data: bytes, kind: str, limits: ImageLimits) -> Header | None:
    """Read what a file announces, within the bounds on parts and metadata.

    Args:
        data: the whole file.
        kind: what ``raster_kind`` said of it.
        limits: bounds; only those on parts and metadata are judged here.

    Returns:
        The announcement; None where the header is broken or ends early.

    Raises:
        BadImage: ``TOO_MUCH_METADATA``.
    """
    return _READERS[kind](data, Tally(limits))
