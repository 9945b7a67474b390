"""Reads Qt binary resource files (``.rcc``), in which GCompris keeps its labelled pictures."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_DIRECTORY, _COMPRESSED = 2, 1


def read_rcc(path: Path) -> dict[str, bytes]:
    """Return every file of a resource by its path inside, e.g. ``/gcompris/…/apple.webp``.

    Layout: the writer in Qt's ``rcc.cpp``, format versions 1 to 3, uncompressed or zlib.

    Raises:
        ValueError: If it is not a Qt resource file.
    """
    data = path.read_bytes()
    if data[:4] != b"qres":
        raise ValueError(f"{path} is not a Qt resource file")
    version, tree, payload, names = struct.unpack(">IIII", data[4:20])
    entry_size = 14 if version == 1 else 22
    files: dict[str, bytes] = {}

    def name_at(offset: int) -> str:
        start = names + offset
        (length,) = struct.unpack(">H", data[start : start + 2])
        return data[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def walk(entry: int, parent: str) -> None:
        start = tree + entry * entry_size
        name_offset, flags = struct.unpack(">IH", data[start : start + 6])
        here = f"{parent}/{name_at(name_offset)}" if entry else ""
        if flags & _DIRECTORY:
            count, first = struct.unpack(">II", data[start + 6 : start + 14])
            for child in range(first, first + count):
                walk(child, here)
            return
        (offset,) = struct.unpack(">I", data[start + 10 : start + 14])
        begin = payload + offset
        (length,) = struct.unpack(">I", data[begin : begin + 4])
        content = data[begin + 4 : begin + 4 + length]
        files[here] = zlib.decompress(content[4:]) if flags & _COMPRESSED else content

    walk(0, "")
    return files
