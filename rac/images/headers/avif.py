"""AVIF: items and tracks of AV1 streams, whose own size is what a decoder reserves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rac.images.headers.av1 import largest_frame
from rac.images.headers.boxes import Box, boxes, within
from rac.images.headers.header import PICTURE, RESULT, Header, Tally
from rac.images.headers.tiff import count_exif

# Pillow's picture, and the decoder's RGB twice on the way there.
_CANVAS_PIXEL = PICTURE + 2 * PICTURE
# Three planes of full size of two bytes each.
_STREAM_PIXEL = 6
_EXTENT = 1 / 8
_FULL_BOX = 4
_TRACK_HEADERS = (b"mdia", b"minf", b"stbl")


@dataclass
class _Found:
    """What the boxes say of canvases, streams and frames."""

    canvases: list[tuple[int, int]] = field(default_factory=list)
    streams: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 1
    copied: int = 0
    whole: bool = True


def read_avif(data: bytes, tally: Tally) -> Header | None:
    """Read the boxes of an AVIF file, and the sequence header of every stream in it."""
    found = _Found()
    for box in boxes(data, 0, len(data), tally):
        if box.name == b"meta":
            _read_items(data, box, tally, found)
        elif box.name == b"moov":
            for track in boxes(data, box.start, box.end, tally):
                if track.name == b"trak":
                    _read_track(data, track, tally, found)
        elif box.name not in (b"mdat", b"free", b"skip"):
            tally.part(box.end - box.start)
    if not found.whole or not found.streams:
        return None
    width, height = max(found.canvases + found.streams, key=lambda size: size[0] * size[1])
    streamed = sum(across * down for across, down in found.streams)
    return Header(
        width=width,
        height=height,
        frames=found.frames,
        pixel_bytes=max(_CANVAS_PIXEL, PICTURE + RESULT),
        fixed_bytes=_STREAM_PIXEL * streamed + found.copied,
    )


def _read_items(data: bytes, meta: Box, tally: Tally, found: _Found) -> None:
    inside = {
        box.name: box for box in boxes(data, meta.start + _FULL_BOX, meta.end, tally)
    }  # each occurs once, or the decoder refuses the file
    if b"iprp" in inside and (properties := within(data, inside[b"iprp"], b"ipco", tally)):
        for one in boxes(data, properties.start, properties.end, tally):
            tally.part(one.end - one.start, share=0)
            if one.name == b"ispe":
                found.canvases.append(
                    (_number(data, one.start + 4, 4), _number(data, one.start + 8, 4))
                )
    if b"iloc" not in inside or b"iinf" not in inside:
        return
    kinds = dict(_item_kinds(data, inside[b"iinf"], tally))
    base = inside[b"idat"].start if b"idat" in inside else 0
    for number, stretches in _item_stretches(data, inside[b"iloc"], base, tally):
        kind = kinds.get(number)
        announced = sum(length for _, length in stretches)
        if len(stretches) > 1:
            found.copied += announced
        if kind != b"av01":
            tally.part(announced, share=0)
            if kind == b"Exif":
                # Four bytes say where the block begins within the item.
                block = _joined(data, stretches)
                count_exif(block[4 + _number(block, 0, 4) :], tally)
            continue
        _read_stream(_joined(data, stretches), tally, found)


def _joined(data: bytes, stretches: list[tuple[int, int]]) -> bytes:
    """Join what an item is made of, but no more than the file holds."""
    pieces, left = [], len(data)
    for offset, length in stretches:
        piece = data[offset : offset + (min(length, left) if length else left)]
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _read_stream(stream: bytes, tally: Tally, found: _Found) -> None:
    size = largest_frame(stream, tally)
    if size is None:
        found.whole = False
    else:
        found.streams.append(size)


def _item_kinds(data: bytes, box: Box, tally: Tally) -> Iterator[tuple[int, bytes]]:
    wide = data[box.start : box.start + 1] != b"\0"
    for one in boxes(data, box.start + (8 if wide else 6), box.end, tally):
        if one.name == b"infe":
            width = 4 if data[one.start : one.start + 1] == b"\3" else 2
            at = one.start + 4 + width + 2
            yield _number(data, one.start + 4, width), data[at : at + 4]


def _item_stretches(
    data: bytes, box: Box, base: int, tally: Tally
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Give the number of each item and where in the file it lies."""
    version, at = _number(data, box.start, 1), box.start + 4
    sizes, more = _number(data, at, 1), _number(data, at + 1, 1)
    offset_size, length_size = sizes >> 4, sizes & 15
    base_size, index_size = more >> 4, more & 15 if version else 0
    width = 4 if version == 2 else 2
    count, at = _number(data, at + 2, width), at + 2 + width
    for _ in range(count):
        tally.part(share=_EXTENT)
        if at + width + 4 > box.end:
            return
        number, at = _number(data, at, width), at + width
        within_meta = False
        if version:
            within_meta, at = _number(data, at, 2) & 15 == 1, at + 2
        at += 2
        start, at = _number(data, at, base_size), at + base_size
        extents, at = _number(data, at, 2), at + 2
        stretches = []
        for _ in range(extents):
            tally.part(share=_EXTENT)
            if at + index_size + offset_size + length_size > box.end:
                return
            at += index_size
            offset, at = _number(data, at, offset_size), at + offset_size
            length, at = _number(data, at, length_size), at + length_size
            stretches.append((start + offset + (base if within_meta else 0), length))
        yield number, stretches


def _read_track(data: bytes, track: Box, tally: Tally, found: _Found) -> None:
    if (head := within(data, track, b"tkhd", tally)) is not None:
        # The last two fields, in parts of 65,536.
        found.canvases.append(
            (_number(data, head.end - 8, 4) >> 16, _number(data, head.end - 4, 4) >> 16)
        )
    box: Box | None = track
    for name in _TRACK_HEADERS:
        box = box and within(data, box, name, tally)
    if box is None:
        return
    tables = {one.name: one for one in boxes(data, box.start, box.end, tally)}
    samples = tables.get(b"stsz")
    chunks = tables.get(b"stco") or tables.get(b"co64")
    if samples is None or chunks is None:
        return
    found.frames = max(found.frames, _number(data, samples.start + 8, 4))
    # Sizes of each sample follow where there is none for all.
    length = _number(data, samples.start + 4, 4) or _number(data, samples.start + 12, 4)
    offset = _number(data, chunks.start + 8, 4 if chunks.name == b"stco" else 8)
    _read_stream(data[offset : offset + length], tally, found)


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")
