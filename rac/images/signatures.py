"""What bytes are, told by their first and last bytes, before any decoder sees them."""

from __future__ import annotations

_RASTER = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"MM*\0", "TIFF"),
    (b"II\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_OTHER = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\xd7\xcd\xc6\x9a", "Windows metafile"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "GIMP"),
)
_TEXT_SAMPLE = 512
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# A file of pictures of whatever kind; the brands after it say of which.
_CONTAINER_BRANDS = (b"mif1", b"msf1")
_MOST_BRANDS = 64


def raster_kind(data: bytes) -> str | None:
    r"""Name the raster format that the first bytes announce, None where they announce none.

    >>> raster_kind(b"\xff\xd8\xff\xe0..."), raster_kind(b"hello")
    ('JPEG', None)
    """
    for start, name in _RASTER:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp" and _AVIF_BRANDS & _brands(data):
        return "AVIF"
    if len(data) > 2 and data[:1] == b"P" and data[1:2] in b"123456f" and data[2:3].isspace():
        return "PPM"
    return None


def _brands(data: bytes) -> set[bytes]:
    """Give the brand of a file of boxes, and of a container's the brands that it can be read as."""
    brand = data[8:12]
    if brand not in _CONTAINER_BRANDS:
        return {brand}
    end = min(int.from_bytes(data[:4], "big"), 4 * _MOST_BRANDS, len(data))
    return {brand, *(data[place : place + 4] for place in range(16, end, 4))}


def other_kind(data: bytes) -> str | None:
    """Name a known picture or document format that is not read, None for anything else.

    >>> other_kind(b"<?xml version='1.0'?><svg xmlns='...'/>")
    'SVG'
    """
    for start, name in _OTHER:
        if data.startswith(start):
            return name
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "HEIC" if brand in (b"heic", b"heix", b"mif1", b"msf1", b"heim") else "video"
    head = data[:_TEXT_SAMPLE].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--")) and b"<svg" in head):
        return "SVG"
    return None


def describe(data: bytes) -> str:
    """Say in words what bytes that are no picture seem to be.

    >>> describe(b"<!DOCTYPE html><html>")
    'an HTML page'
    """
    if not data:
        return "an empty file"
    head = data[:_TEXT_SAMPLE]
    lower = head.lstrip().lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes of no known picture format"
    printable = all(letter.isprintable() or letter in "\r\n\t" for letter in text)
    return "text" if printable else "bytes of no known picture format"


def ends_early(data: bytes, kind: str) -> bool:
    """Say whether a file of a raster format lacks the end that the format asks for.

    Args:
        data: the whole file.
        kind: what ``raster_kind`` said.
    """
    tail = data.rstrip(b"\0\r\n")
    if kind == "JPEG":
        return not tail.endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND" not in data[-64 * 1024 :]
    if kind == "GIF":
        return not tail.endswith(b";")
    if kind == "WebP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if kind == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    if kind == "AVIF":
        return _boxes_end(data) > len(data)
    return False


def _boxes_end(data: bytes) -> int:
    """Say where the boxes of a file end, by their own word."""
    at = 0
    while 0 <= at <= len(data) - 8:
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:  # none means up to the end, the others nothing
            return len(data)
        at += length
    return at


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height from a WebP header, without the decoder that reserves the canvas.

    Returns:
        Width and height in pixels; None where the header is broken or not WebP.
    """
    if raster_kind(data) != "WebP" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return (
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    return None
