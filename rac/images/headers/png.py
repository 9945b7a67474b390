"""PNG: its chunks, and the frames of an APNG."""

from __future__ import annotations

import struct

from rac.images.headers.header import PICTURE, RESULT, Header, Tally
from rac.images.headers.tiff import count_exif

_PIXELS = (b"IDAT", b"fdAT")
_GREY, _PALETTE = 0, 3
# An animation's decoder keeps the frame before and what it was drawn over.
_ANIMATED = 2 * PICTURE


def read_png(data: bytes, tally: Tally) -> Header | None:
    """Read all chunks of a PNG; what lies behind the pixels is metadata too."""
    at = 8
    header: tuple[int, ...] | None = None
    frames = 1
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 8 + length > len(data):
            length = len(data) - at - 8  # it ends early, which the decoder will say
        pixels = name in _PIXELS
        tally.part(0 if pixels else length)
        if not pixels:
            body = data[at + 8 : at + 8 + length]
            if name == b"IEND":
                break
            if name == b"IHDR" and length >= 10:
                header = struct.unpack_from(">IIBB", body)
            elif name == b"acTL" and length >= 4:
                frames = max(int.from_bytes(body[:4], "big"), 1)
            elif name == b"eXIf":
                count_exif(body, tally)
            elif name in (b"zTXt", b"iCCP"):
                # A keyword, its end, a method of one byte.
                tally.packed(body[body.find(b"\0") + 2 :])
            elif name == b"iTXt":
                _text(body, tally)
        at += 12 + length
    if header is None:
        return None
    width, height, depth, colour = header
    small = colour == _PALETTE or (colour == _GREY and depth <= 8)
    return Header(
        width=width,
        height=height,
        frames=frames,
        pixel_bytes=(1 if small else PICTURE) + RESULT + (_ANIMATED if frames > 1 else 0),
    )


def _text(body: bytes, tally: Tally) -> None:
    keyword_end = body.find(b"\0")
    if keyword_end < 0 or body[keyword_end + 1 : keyword_end + 2] != b"\1":
        return  # it is not compressed
    language_end = body.find(b"\0", keyword_end + 3)
    translated_end = body.find(b"\0", language_end + 1)
    if language_end >= 0 and translated_end >= 0:
        tally.packed(body[translated_end + 1 :])
