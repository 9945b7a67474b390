"""GIF: its blocks, and how many of them are frames."""

from __future__ import annotations

import re

from rac.images.headers.header import PICTURE, RESULT, Header, Tally

_BLOCK = re.compile(rb"[!,;]")
# A sub-block holds at most 255 bytes; a file of the largest size allowed has many.
_SUB_BLOCK = 1 / 32
# Those of comments are put together one by one.
_SUB_BLOCK_OF_TEXT = 4
# The first frame and what it is drawn over; both have a palette unless their colours are mixed.
_PIXEL = PICTURE + RESULT


def read_gif(data: bytes, tally: Tally) -> Header | None:
    """Read all blocks of a GIF; the canvas grows where its first frame does not fit."""
    if len(data) < 13:
        return None
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    at = 13 + _palette(data[10])
    frames = 0
    while found := _BLOCK.search(data, at):
        # Decoders look for the next block byte by byte.
        tally.part(found.start() - at)
        at = found.end()
        if found[0] == b";":
            break
        if found[0] == b"!":
            end = _skip(data, at + 1, tally, _SUB_BLOCK_OF_TEXT)
            tally.part(end - at, share=0)
            at = end
            continue
        if at + 10 > len(data):
            break
        left, top, across, down = (
            int.from_bytes(data[place : place + 2], "little") for place in range(at, at + 8, 2)
        )
        frames += 1
        if frames == 1:
            width, height = max(width, left + across), max(height, top + down)
        at = _skip(data, at + 10 + _palette(data[at + 8]), tally, _SUB_BLOCK)
    return Header(width=width, height=height, frames=max(frames, 1), pixel_bytes=_PIXEL)


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip(data: bytes, at: int, tally: Tally, share: float) -> int:
    """Pass over sub-blocks up to and with the empty one that ends them."""
    while at < len(data):
        size = data[at]
        at += 1 + size
        if not size:
            break
        tally.part(share=share)
    return at
