"""Image files as they are made for harm, each harmless: past a lowered bound, or empty."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def animation(kind: str, frames: int = 3, width: int = 60, height: int = 40) -> bytes:
    shades = [Image.new("RGB", (width, height), (60 * number, 0, 0)) for number in range(frames)]
    return encoded(shades[0], kind, save_all=True, append_images=shades[1:])


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes, behind: bool = False) -> bytes:
    """A small PNG with more chunks, before its pixels or behind them."""
    plain = encoded(picture(), "PNG")
    place = plain.index(b"IEND") - 4 if behind else 33
    return plain[:place] + b"".join(chunks) + plain[place:]


def png_of(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that announces a size over next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(50)))
        + png_chunk(b"IEND", b"")
    )


def apng_of(frames: int) -> bytes:
    return png_with(png_chunk(b"acTL", struct.pack(">II", frames, 0)))


def jpeg_with(segments: bytes, **options: object) -> bytes:
    plain = encoded(picture(), "JPEG", **options)
    return plain[:2] + segments + plain[2:]


def jpeg_of(width: int, height: int, **options: object) -> bytes:
    data = bytearray(encoded(picture(), "JPEG", **options))
    at = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(picture(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def gif_of(width: int, height: int, left: int = 0, top: int = 0) -> bytes:
    """A GIF of a canvas of any size, with a frame of 60 x 40 anywhere."""
    data = bytearray(encoded(picture(mode="P"), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    at = data.index(b",", 13 + 768)
    data[at + 1 : at + 5] = struct.pack("<HH", left, top)
    return bytes(data)


def gif_with(blocks: bytes) -> bytes:
    data = encoded(picture(mode="P"), "GIF")
    return data[: 13 + 768] + blocks + data[13 + 768 :]


def bmp_of(
    width: int, height: int, *, bits: int = 24, packing: int = 0, body: bytes = b""
) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)
    start = 54 + (1024 if bits == 8 else 0)
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(body), 0, 0, start)
        + header
        + bytes(start - 54)
        + body
    )


def exif_of(tags: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A block of tags (number, type, count, value or offset), little-endian."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tail


def tiff_of(
    width: int, height: int, more: tuple[tuple[int, int, int, int], ...] = (), tail: bytes = b""
) -> bytes:
    """A TIFF of grey pixels that are not there, with further tags."""
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 9),
    ]  # fmt: skip
    further = {tag[0] for tag in more}
    return exif_of(sorted([tag for tag in tags if tag[0] not in further] + list(more)), tail)


def tiff_pages(pages: int) -> bytes:
    one = picture(mode="L")
    return encoded(one, "TIFF", save_all=True, append_images=[one] * (pages - 1))


def tiff_circle() -> bytes:
    """A TIFF whose only page is followed by itself."""
    data = bytearray(encoded(picture(mode="L"), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    """An extended WebP that announces a canvas."""
    data = bytearray(animation("WEBP"))
    data[24:30] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes(data)


def webp_with(name: bytes, body: bytes, count: int = 1) -> bytes:
    plain = animation("WEBP")
    chunk = name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
    riff = plain[12:] + chunk * count
    return b"RIFF" + struct.pack("<I", len(riff) + 4) + b"WEBP" + riff


def avif_of(width: int, height: int) -> bytes:
    """An AVIF whose boxes announce a canvas; its stream has 60 x 40."""
    data = bytearray(encoded(picture(), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def avif_of_a_larger_stream() -> bytes:
    """An AVIF whose boxes announce 8 x 8 and whose stream has 60 x 40."""
    return avif_of(8, 8)


def avif_with_box(name: bytes, body: bytes, count: int = 1) -> bytes:
    box = struct.pack(">I", len(body) + 8) + name + body
    return encoded(picture(), "AVIF") + box * count


def avif_of_copies(copies: int) -> bytes:
    """An AVIF whose item is put together from the same bytes many times over."""
    data = encoded(picture(), "AVIF")
    at = data.index(b"iloc") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    offset, size = struct.unpack(">II", data[at + length - 8 : at + length])
    grown = 8 * copies
    body = data[at + 8 : at + length - 10] + struct.pack(">H", copies + 1)
    body += struct.pack(">II", offset + grown, size) * (copies + 1)
    box = struct.pack(">I", len(body) + 8) + b"iloc" + body
    meta = data.index(b"meta") - 4
    whole = int.from_bytes(data[meta : meta + 4], "big") + grown
    return data[:meta] + struct.pack(">I", whole) + data[meta + 4 : at] + box + data[at + length :]


def jp2() -> bytes:
    return encoded(picture(), "JPEG2000")


def jp2_of(width: int, height: int) -> bytes:
    """A JPEG 2000 whose codestream announces a size, in tiles of that size."""
    data = bytearray(jp2())
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    data[at + 16 : at + 24] = struct.pack(">II", width, height)
    return bytes(data)


def jp2_of_tiles(side: int) -> bytes:
    data = bytearray(jp2())
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at + 16 : at + 24] = struct.pack(">II", side, side)
    return bytes(data)


def jp2_of_style(*, layers: int = 1, blocks: int = 4, precincts: int | None = None) -> bytes:
    """A JPEG 2000 that announces many layers, small blocks (4 for 64 x 64) or small precincts."""
    data = bytearray(jp2())
    at = data.index(b"\xff\x52")
    data[at + 6 : at + 8] = struct.pack(">H", layers)
    data[at + 10 : at + 12] = bytes([blocks, blocks])
    if precincts is None:
        return bytes(data)
    levels = data[at + 9]
    data[at + 4] |= 1
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 2 : at + 4] = struct.pack(">H", length + levels + 1)
    end = at + 2 + length
    return bytes(data[:end]) + bytes([precincts * 17]) * (levels + 1) + bytes(data[end:])
