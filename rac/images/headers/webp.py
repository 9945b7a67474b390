"""WebP: its chunks, and which of them are frames."""

from __future__ import annotations

from rac.images.headers.header import PICTURE, RESULT, Header, Tally
from rac.images.headers.tiff import count_exif
from rac.images.signatures import webp_size

_PIXELS = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")
# The decoder of animations, which Pillow reads every WebP with, keeps two canvases of its own and
# hands over a third; its canvases are gone before the array is made.
_PIXEL = 2 * PICTURE + PICTURE + PICTURE


def read_webp(data: bytes, tally: Tally) -> Header | None:
    """Read all chunks of a WebP."""
    size = webp_size(data)
    if size is None:
        return None
    at = 12
    frames = 0
    while at + 8 <= len(data):
        name = data[at : at + 4]
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        pixels = name in _PIXELS
        tally.part(0 if pixels else min(length, len(data) - at))
        frames += name == b"ANMF"
        if name == b"EXIF":
            count_exif(data[at + 8 : at + 8 + length], tally)
        at += 8 + length + (length & 1)
    return Header(
        width=size[0],
        height=size[1],
        frames=max(frames, 1),
        pixel_bytes=max(_PIXEL, PICTURE + RESULT),
    )
