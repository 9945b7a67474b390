"""JPEG: segments up to the first scan; the scans of a picture that grows sharper."""

from __future__ import annotations

import re

from rac.images.headers.header import PICTURE, RESULT, Header, Tally
from rac.images.headers.tiff import count_exif

_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN, _END, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_EXIF = b"Exif\0\0"
_EXIF_PARTS = 512
_PICTURES = b"MPF\0"
_COEFFICIENT = 2  # bytes
# The tag of an MPF segment that says how many pictures there are.
_PICTURE_COUNT = 0xB001


def read_jpeg(data: bytes, tally: Tally) -> Header | None:
    """Read a JPEG's segments up to its first scan, and count its scans."""
    at = 2
    frame: bytes | None = None
    progressive = False
    exif: list[bytes] = []
    frames = 1
    while found := _MARKER.search(data, at):
        # What lies between segments is padding; decoders pass over it byte by byte.
        tally.part(found.start() - at, share=0)
        marker = data[found.end() - 1]
        at = found.end()
        if marker in _WITHOUT_LENGTH:
            tally.part(share=1)
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker == _END or length < 2:
            return None
        body = data[at + 2 : at + length]
        if marker == _SCAN:
            break
        tally.part(length)
        if marker in _FRAMES:
            frame, progressive = body, marker in _PROGRESSIVE
        elif marker == _APP1 and body.startswith(_EXIF):
            # A block that does not fit into one segment goes on in the next; each time it grows,
            # Pillow copies it whole.
            tally.part(share=_EXIF_PARTS)
            exif.append(body[len(_EXIF) :])
        elif marker == _APP2 and body.startswith(_PICTURES):
            frames = count_exif(body[len(_PICTURES) :], tally).get(_PICTURE_COUNT, 1)
        at += length
    else:
        return None
    if frame is None or len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return None
    count_exif(b"".join(exif), tally)
    several = progressive or (len(body) > 0 and body[0] < frame[5])
    return Header(
        width=int.from_bytes(frame[3:5], "big"),
        height=int.from_bytes(frame[1:3], "big"),
        frames=frames,
        passes=_scans(data, at) if several else 1,
        pixel_bytes=PICTURE + RESULT,
        fixed_bytes=_coefficients(frame) if several else 0,
        scalable=True,
    )


def _coefficients(frame: bytes) -> int:
    """Bytes of all coefficients, which a picture of several scans keeps until its last one."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    samplings = [(factor >> 4) * (factor & 15) for factor in frame[7 : 6 + 3 * frame[5] : 3]]
    widest = max((factor >> 4 for factor in frame[7 : 6 + 3 * frame[5] : 3]), default=1)
    highest = max((factor & 15 for factor in frame[7 : 6 + 3 * frame[5] : 3]), default=1)
    blocks = sum(samplings) / max(widest * highest, 1)
    return int(_COEFFICIENT * width * height * blocks)


def _scans(data: bytes, start: int) -> int:
    """Count scans from the first one's header at ``start`` to the end of the picture."""
    scans, at = 1, start
    while found := _MARKER_AFTER_SCAN.search(data, at):
        marker = data[found.end() - 1]
        at = found.end()
        if marker == _END:
            break
        if marker in _WITHOUT_LENGTH:
            continue
        scans += marker == _SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    return scans
