"""JPEG 2000: its boxes and the main header; how finely it is cut, which is what costs memory.

Source: ISO/IEC 15444-1, annexes A and I.
"""

from __future__ import annotations

from dataclasses import dataclass

from rac.images.headers.boxes import boxes
from rac.images.headers.header import PICTURE, RESULT, Header, Tally

_START = b"\xff\x4f\xff\x51"
_CODING, _CODING_OF_ONE, _TILE_PART, _DATA, _END = 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
_SAMPLE = 4  # bytes that the decoder keeps for each number
_SLOWNESS = 6  # measured
_TILE_PARTS = 16
_MOST_CHANNELS = 4
# Bytes that the decoder keeps for a block of coefficients, a precinct, and a layer of a precinct.
_BLOCK, _PRECINCT, _LAYER = 800, 200, 2


@dataclass(frozen=True)
class _Size:
    width: int
    height: int
    channels: int
    tiles: int


def read_jpeg2000(data: bytes, tally: Tally) -> Header | None:
    """Read the boxes of a JP2 file, or a bare codestream, and its main and tile headers."""
    announced = (0, 0)
    stream = 0
    if not data.startswith(_START):
        stream = -1
        for box in boxes(data, 0, len(data), tally):
            if box.name == b"jp2c":
                stream = box.start
                break
            tally.part(box.end - box.start, share=0)
            if box.name == b"jp2h":
                for one in boxes(data, box.start, box.end, tally):
                    if one.name == b"ihdr":
                        announced = _number(data, one.start + 4, 4), _number(data, one.start, 4)
    if stream < 0 or data[stream : stream + 4] != _START:
        return None
    size = _size(data, stream + 4)
    if size is None:
        return None
    tally.part(share=_TILE_PARTS * size.tiles)
    width, height = max((size.width, size.height), announced, key=lambda one: one[0] * one[1])
    channels = max(size.channels, 1)
    return Header(
        width=width,
        height=height,
        pixel_bytes=_SAMPLE * channels + PICTURE + RESULT,
        fixed_bytes=_cut_bytes(data, stream + 2, size, tally),
        slowness=_SLOWNESS,
    )


def _size(data: bytes, at: int) -> _Size | None:
    if at + 38 > len(data):
        return None
    right, bottom, left, top, across, down, first_left, first_top = (
        _number(data, place, 4) for place in range(at + 4, at + 36, 4)
    )
    channels = _number(data, at + 36, 2)
    if right <= left or bottom <= top or not across or not down or channels > _MOST_CHANNELS:
        return None
    tiles = -((first_left - right) // across) * -((first_top - bottom) // down)
    return _Size(right - left, bottom - top, channels, tiles)


def _cut_bytes(data: bytes, at: int, size: _Size, tally: Tally) -> int:
    """Bytes for blocks and precincts under the finest cut that any header asks for."""
    most, layers = 0, 1
    tile_start, tile_length = -1, 0
    while at + 4 <= len(data):
        marker, length = _number(data, at, 2), _number(data, at + 2, 2)
        if marker == _END:
            break
        if marker == _DATA:
            if tile_start < 0 or not tile_length:
                break
            at = tile_start + tile_length
            continue
        tally.part(length)
        if marker == _TILE_PART:
            # A length of none means up to the end.
            tile_start, tile_length = at, _number(data, at + 6, 4)
            if 0 < tile_length < 12:
                break
        elif marker == _CODING:
            layers = max(layers, _number(data, at + 6, 2))
            most = max(most, _style_bytes(data, at + 9, data[at + 4] & 1, size, layers))
        elif marker == _CODING_OF_ONE and at + 6 < len(data):
            most = max(most, _style_bytes(data, at + 6, data[at + 5] & 1, size, layers))
        if length < 2:
            break
        at += 2 + length
    return most


def _style_bytes(data: bytes, at: int, own_precincts: int, size: _Size, layers: int) -> int:
    if at + 5 > len(data):
        return 0
    levels = min(data[at], 32)
    block_across, block_down = data[at + 1] + 2, data[at + 2] + 2
    blocks = precincts = widest = 0
    for level in range(levels + 1):
        both = data[at + 5 + level] if own_precincts and at + 5 + level < len(data) else 0xFF
        across, down = both & 15, both >> 4
        shrunk = levels - level
        width, height = _halved(size.width, shrunk), _halved(size.height, shrunk)
        here = _halved(width, across) * _halved(height, down)
        precincts += here
        widest = max(widest, here)
        # A precinct is shared by bands of half its side.
        block = min(block_across, max(across - 1, 0)), min(block_down, max(down - 1, 0))
        blocks += _halved(width, block[0]) * _halved(height, block[1])
    announced = layers * (levels + 1) * max(widest, 1) * _LAYER
    return size.channels * (blocks * _BLOCK + precincts * _PRECINCT + announced)


def _halved(length: int, times: int) -> int:
    return -(-length >> times)


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")
