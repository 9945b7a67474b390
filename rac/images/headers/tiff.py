"""TIFF: its directories of tags, which EXIF blocks are made of as well."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from rac.images.headers.header import PICTURE, RESULT, Header, Tally

# Bytes of one value, by the type of a tag.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
# Texts and blocks of bytes, which stay as they are.
_OPAQUE = frozenset({1, 2, 7})
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _CHANNELS = 256, 257, 258, 259, 273, 277
_STRIP_ROWS, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 278, 284, 322, 323, 324
_SUB_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_UNCOMPRESSED = 1
_GREY_BITS = 8


@dataclass(frozen=True)
class _Reader:
    """Where a file keeps what: the order of its bytes and the width of its offsets."""

    data: bytes
    order: str
    big: bool

    def directory(self, at: int, tally: Tally) -> tuple[dict[int, int], dict[int, int], int]:
        """Read the tags of the directory at an offset.

        Returns:
            The first value of each tag that holds whole numbers, how many values it has, and the
            offset of the next directory, 0 where there is none.
        """
        values: dict[int, int] = {}
        counts: dict[int, int] = {}
        head, entry = ("Q", "HHQ8s") if self.big else ("H", "HHI4s")
        step = struct.calcsize("<" + entry)
        found = self._unpack(head, at)
        if found is None:
            return values, counts, 0
        at += struct.calcsize("<" + head)
        for _ in range(found[0]):
            fields = self._unpack(entry, at)
            if fields is None:
                return values, counts, 0
            tag, kind, count, inline = fields
            at += step
            size = _SIZES.get(kind, 0) * count
            tally.part(step)
            if tag in counts or not size:
                continue
            if size > len(inline):
                (offset,) = struct.unpack(self.order + ("Q" if self.big else "I"), inline)
                # A decoder reads no more than there is, but that as often as it is pointed to.
                size = min(size, max(len(self.data) - offset, 0))
                tally.part(size, share=0)
            else:
                offset = at - len(inline)
            if kind not in _OPAQUE:
                tally.numbers(size // _SIZES[kind])
            counts[tag] = count
            if kind in _WHOLE and (value := self._unpack(_WHOLE[kind], offset)):
                values[tag] = value[0]
        following = self._unpack("Q" if self.big else "I", at)
        return values, counts, following[0] if following else 0

    def _unpack(self, form: str, at: int) -> tuple[Any, ...] | None:
        try:
            return struct.unpack_from(self.order + form, self.data, at)
        except (struct.error, OverflowError):
            return None


def count_exif(block: bytes, tally: Tally) -> dict[int, int]:
    """Count the tags of an EXIF block, which is a small TIFF.

    Returns:
        The first value of each tag of its first directory that holds whole numbers.
    """
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    opened = _open(block)
    if opened is None:
        return {}
    reader, start = opened
    values, _, _ = reader.directory(start, tally)
    _count_sub_directories(reader, values, tally)
    return values


def read_tiff(data: bytes, tally: Tally) -> Header | None:
    """Read the directories of a TIFF: all tags of the first page, and how many pages follow."""
    opened = _open(data)
    if opened is None:
        return None
    reader, start = opened
    values, counts, following = reader.directory(start, tally)
    _count_sub_directories(reader, values, tally)
    frames = 1
    seen = {start}
    while following and following not in seen:
        seen.add(following)
        frames += 1
        _, _, following = reader.directory(following, tally)
    if _WIDTH not in values or _HEIGHT not in values:
        return None
    for pieces in (_STRIPS, _TILES):
        tally.part(share=counts.get(pieces, 0))
    width, height = values[_WIDTH], values[_HEIGHT]
    channels, bits = values.get(_CHANNELS, 1), values.get(_BITS, 1)
    small = channels == 1 and bits <= _GREY_BITS
    return Header(
        width=width,
        height=height,
        frames=frames,
        pixel_bytes=(1 if small else PICTURE) + RESULT,
        fixed_bytes=_piece_bytes(values, width, height, channels * bits),
    )


def _piece_bytes(values: dict[int, int], width: int, height: int, pixel_bits: int) -> int:
    """Bytes of one strip or tile, which is unpacked whole before it is put into the picture."""
    if _TILE_WIDTH in values:
        pixels = values[_TILE_WIDTH] * values.get(_TILE_HEIGHT, 1)
    elif values.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        return 0
    else:
        pixels = width * min(values.get(_STRIP_ROWS, height), height)
    # Compressed strips are unpacked to whole pixels of at least four bytes where colours are mixed.
    return max(pixels * pixel_bits // 8, pixels)


def _count_sub_directories(reader: _Reader, values: dict[int, int], tally: Tally) -> None:
    for tag in _SUB_DIRECTORIES:
        if tag in values:
            reader.directory(values[tag], tally)


def _open(data: bytes) -> tuple[_Reader, int] | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    # The number that tells the width of offsets is written in the other order by some.
    big = 43 in data[2:4]
    reader = _Reader(data, order, big)
    form, at = ("Q", 8) if big else ("I", 4)
    found = reader._unpack(form, at)
    return (reader, found[0]) if found else None
