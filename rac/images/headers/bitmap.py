"""Plain bitmaps: BMP and the PPM family, some forms of which are decoded number by number."""

from __future__ import annotations

import re

from rac.images.faults import BadImage, Reason
from rac.images.headers.header import PICTURE, RESULT, Header, Tally

_CORE_HEADER = 12
_RUN_LENGTHS = (1, 2)
_PALETTE_BITS = 8
# Measured: Pillow's own decoders of these forms are written in Python.
_RUN_LENGTH_SLOWNESS = 20
_NUMBERS_SLOWNESS = 100
_MOST_RUN_LENGTH_BYTES = 4 << 20
# The bytes that such a decoder gathers, once as it goes and once as a whole.
_GATHERED = 2

_SPACE = rb"(?:[ \t\n\v\f\r]|#[^\r\n]*)"
_PPM = re.compile(rb"P([1-6f])" + _SPACE + rb"+(\d{1,10})" + _SPACE + rb"+(\d{1,10})(?:"
                  + _SPACE + rb"+(\d{1,10}))?")  # fmt: skip
_BITS, _FLOATS = b"14", b"f"
_AS_TEXT = b"123"
# What a comment costs among numbers: the text behind it is moved.
_COMMENT_PARTS = 16


def read_bmp(data: bytes, tally: Tally) -> Header | None:
    """Read a BMP's header; of the run-length kinds the size of the file is bounded too.

    Raises:
        BadImage: ``TOO_COSTLY``: a run-length file of many bytes.
    """
    header = int.from_bytes(data[14:18], "little")
    tally.part(min(header, len(data)), share=0)
    if header == _CORE_HEADER:
        width, height = (int.from_bytes(data[place : place + 2], "little") for place in (18, 20))
        bits, packing = int.from_bytes(data[24:26], "little"), 0
    else:
        width, height = (
            abs(int.from_bytes(data[place : place + 4], "little", signed=True))
            for place in (18, 22)
        )
        bits = int.from_bytes(data[28:30], "little")
        packing = int.from_bytes(data[30:34], "little")
    if len(data) < 34:
        return None
    runs = packing in _RUN_LENGTHS
    if runs and len(data) > _MOST_RUN_LENGTH_BYTES:
        raise BadImage(
            Reason.TOO_COSTLY,
            f"a BMP of run lengths is read up to {_MOST_RUN_LENGTH_BYTES:,} bytes, this one has "
            f"{len(data):,}; save it as PNG",
        )
    picture = 1 if bits <= _PALETTE_BITS else PICTURE
    return Header(
        width=width,
        height=height,
        pixel_bytes=picture + RESULT + (_GATHERED if runs else 0),
        slowness=_RUN_LENGTH_SLOWNESS if runs else 1,
    )


def read_ppm(data: bytes, tally: Tally) -> Header | None:
    """Read the header of a PBM, PGM, PPM or PFM file."""
    found = _PPM.match(data)
    if found is None:
        return None
    kind = found[1]
    tally.part(found.end())
    largest = int(found[4]) if found[4] and kind not in _BITS + _FLOATS else 1
    as_text = kind in _AS_TEXT
    if as_text:
        tally.part(share=_COMMENT_PARTS * data.count(b"#"))
    # One by one: texts, and numbers that neither fill a byte nor, in grey, two.
    one_by_one = as_text or (
        kind not in _BITS + _FLOATS and largest != 255 and not (largest == 65535 and kind == b"5")
    )
    return Header(
        width=int(found[2]),
        height=int(found[3]),
        pixel_bytes=PICTURE + RESULT + (_GATHERED * PICTURE if one_by_one else 0),
        slowness=_NUMBERS_SLOWNESS if one_by_one else 1,
    )
