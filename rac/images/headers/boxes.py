"""Boxes within boxes: what AVIF and JPEG 2000 files are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rac.images.headers.header import Tally


@dataclass(frozen=True)
class Box:
    """A stretch of a file with a name: bytes ``start`` to ``end`` are what it holds."""

    name: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int, tally: Tally) -> Iterator[Box]:
    """Give the boxes that lie in a stretch; one that is cut off ends where the stretch does."""
    at = start
    while at + 8 <= end:
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        inside = at + 8
        if length == 1:
            length, inside = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif length == 0:  # up to the end
            length = end - at
        if length < inside - at:
            return
        tally.part()
        yield Box(name, inside, min(at + length, end))
        at += length


def within(data: bytes, box: Box, name: bytes, tally: Tally, *, skip: int = 0) -> Box | None:
    """Give the first box of a name in another, whose own fields take ``skip`` bytes."""
    for one in boxes(data, box.start + skip, box.end, tally):
        if one.name == name:
            return one
    return None
