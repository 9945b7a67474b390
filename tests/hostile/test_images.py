"""Image files made for harm: each is put aside by what it announces, before a decoder sees it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from rac.images import BadImage, ImageLimits, Reason, decode_image, decode_pixels
from tests.hostile.image_files import (
    animation,
    apng_of,
    avif_of,
    avif_of_a_larger_stream,
    avif_of_copies,
    avif_with_box,
    bmp_of,
    encoded,
    exif_of,
    gif_of,
    gif_with,
    jp2_of,
    jp2_of_style,
    jp2_of_tiles,
    jpeg_of,
    jpeg_of_scans,
    jpeg_with,
    picture,
    png_chunk,
    png_of,
    png_with,
    segment,
    tiff_circle,
    tiff_of,
    tiff_pages,
    webp_of,
    webp_with,
)
from tests.hostile.table import Promise

DEFAULT = ImageLimits()
FEW_FRAMES = ImageLimits(max_total_pixels=2 * 60 * 40)
LITTLE_METADATA = ImageLimits(max_metadata_bytes=2000)
FEW_PARTS = ImageLimits(max_parts=100)
LITTLE_MEMORY = ImageLimits(max_memory=5 * 60 * 40)
SMALL = ImageLimits(max_pixels=60 * 40 - 1)
SHORT_SIDES = ImageLimits(max_side=59)


class Case(NamedTuple):
    """A file, the limits that it is judged by, the reason, and words that the message has."""

    name: str
    made: Callable[[], bytes]
    limits: ImageLimits
    reason: Reason
    says: str


def _exif(tags: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    return segment(0xE1, b"Exif\0\0" + exif_of(tags, tail))


def _packed(name: bytes, head: bytes) -> bytes:
    return png_with(png_chunk(name, head + zlib.compress(bytes(9000))))


# A value of 900 bytes that ten tags point to.
_SHARED = [(40000 + number, 7, 900, 134) for number in range(10)]
_TEXT = png_chunk(b"tEXt", b"a\0b")
_JUNK = segment(0xFE, b"") + b"\1" * 3000
_PROFILE = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(2000))


CASES = [
    # Sizes that are only announced.
    Case("png-area", lambda: png_of(20_000, 20_000), DEFAULT, Reason.TOO_MANY_PIXELS, "400,000"),
    Case("png-largest", lambda: png_of(2**31 - 1, 2**31 - 1), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("png-sides", lambda: png_of(70_000, 900), DEFAULT, Reason.EXTREME_SHAPE, "65,535"),
    Case("jpeg-area", lambda: jpeg_of(65_000, 65_000), DEFAULT, Reason.TOO_MANY_PIXELS, "pixels"),
    Case("gif-area", lambda: gif_of(65_000, 65_000), DEFAULT, Reason.TOO_MANY_PIXELS, "pixels"),
    Case("gif-frame", lambda: gif_of(60, 40, 65_000, 65_000), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("webp-area", lambda: webp_of(1 << 24, 1 << 24), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("avif-area", lambda: avif_of(60_000, 60_000), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("tiff-area", lambda: tiff_of(60_000, 60_000), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("bmp-area", lambda: bmp_of(60_000, 60_000), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("bmp-upside-down", lambda: bmp_of(60_000, -60_000), DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("ppm-area", lambda: b"P6 60000 60000 255\n", DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("jp2-area", lambda: jp2_of(60_000, 60_000), DEFAULT, Reason.TOO_MANY_PIXELS, "JPEG 2000"),
    # The same by a lowered bound, on whole files: the last size allowed is tested below.
    *(
        Case(f"{kind.lower()}-whole", lambda kind=kind: encoded(picture(), kind), SMALL,
             Reason.TOO_MANY_PIXELS, "2,400 pixels")
        for kind in ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "PPM")
    ),
    Case("avif-stream-lies", avif_of_a_larger_stream, SMALL, Reason.TOO_MANY_PIXELS, "60 x 40"),
    # Formats that are decoded slowly, so that they may have less.
    Case("ppm-text", lambda: b"P3 2000 1000 255\n", DEFAULT, Reason.TOO_MANY_PIXELS, "1,200,000"),
    Case("ppm-bits-as-text", lambda: b"P1 2000 1000\n", DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("ppm-odd-depth", lambda: b"P6 2000 1000 99\n", DEFAULT, Reason.TOO_MANY_PIXELS, "PPM"),
    Case("ppm-16-bit", lambda: b"P6 2000 1000 65535\n", DEFAULT, Reason.TOO_MANY_PIXELS, ""),
    Case("bmp-runs", lambda: bmp_of(3000, 3000, bits=8, packing=1), DEFAULT,
         Reason.TOO_MANY_PIXELS, "6,000,000"),
    Case("bmp-runs-bytes", lambda: bmp_of(30, 30, bits=8, packing=1, body=bytes(5_000_000)),
         DEFAULT, Reason.TOO_COSTLY, "4,194,304"),
    # Shapes.
    Case("line", lambda: encoded(Image.new("RGB", (60_000, 1)), "PNG"), DEFAULT,
         Reason.EXTREME_SHAPE, "100 times"),
    Case("upright-line", lambda: encoded(Image.new("RGB", (1, 101)), "PNG"), DEFAULT,
         Reason.EXTREME_SHAPE, "1 x 101"),
    Case("jpeg-line", lambda: encoded(Image.new("RGB", (5000, 7)), "JPEG"), DEFAULT,
         Reason.EXTREME_SHAPE, "5,000 x 7"),
    Case("gif-line", lambda: encoded(Image.new("P", (300, 2)), "GIF"), DEFAULT,
         Reason.EXTREME_SHAPE, ""),
    Case("webp-line", lambda: encoded(Image.new("RGB", (300, 2)), "WEBP"), DEFAULT,
         Reason.EXTREME_SHAPE, ""),
    Case("tiff-line", lambda: encoded(Image.new("RGB", (300, 2)), "TIFF"), DEFAULT,
         Reason.EXTREME_SHAPE, ""),
    Case("bmp-line", lambda: encoded(Image.new("RGB", (300, 2)), "BMP"), DEFAULT,
         Reason.EXTREME_SHAPE, ""),
    Case("side", lambda: encoded(picture(), "PNG"), SHORT_SIDES, Reason.EXTREME_SHAPE, "59"),
    # Frames.
    Case("gif-frames", lambda: animation("GIF"), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("apng-frames", lambda: animation("PNG"), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("webp-frames", lambda: animation("WEBP"), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("avif-frames", lambda: animation("AVIF"), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("tiff-pages", lambda: tiff_pages(3), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("mpo-pictures", lambda: animation("MPO"), FEW_FRAMES, Reason.TOO_MANY_FRAMES, "3 frames"),
    Case("apng-announces", lambda: apng_of(2**31), DEFAULT, Reason.TOO_MANY_FRAMES, "2,147"),
    Case("jpeg-passes", lambda: jpeg_of_scans(50), ImageLimits(max_pixels=4 * 2400),
         Reason.TOO_MANY_FRAMES, "passes"),
    # Metadata: bytes, unpacked bytes, bytes that are pointed to again and again.
    Case("png-text", lambda: png_with(png_chunk(b"tEXt", b"a\0" + bytes(2000))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, "2,000 bytes"),
    Case("png-text-behind", lambda: png_with(png_chunk(b"tEXt", bytes(2001)), behind=True),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, "EXIF"),
    Case("png-packed-text", lambda: _packed(b"zTXt", b"a\0\0"),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("png-packed-profile",
         lambda: _packed(b"iCCP", b"a\0\0"),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("png-packed-international",
         lambda: _packed(b"iTXt", b"a\0\1\0en\0a\0"),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("png-exif", lambda: png_with(png_chunk(b"eXIf", exif_of(_SHARED, bytes(900)))),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("png-unknown", lambda: png_with(png_chunk(b"prVt", bytes(2001))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-exif", lambda: jpeg_with(_exif(_SHARED, bytes(900))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-exif-numbers", lambda: jpeg_with(_exif([(40000, 5, 90, 26)], bytes(720))),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-exif-in-exif",
         lambda: jpeg_with(_exif([(34665, 4, 1, 26)], exif_of(_SHARED, bytes(900))[8:])),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-profile", lambda: jpeg_with(_PROFILE), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-comment", lambda: jpeg_with(segment(0xFE, bytes(2000))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-padding", lambda: jpeg_with(b"\xff" * 3000), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, "padding"),
    Case("jpeg-junk", lambda: jpeg_with(_JUNK), LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("jpeg-tables", lambda: jpeg_with(segment(0xDB, bytes(65 * 40))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("gif-comment", lambda: gif_with(b"!\xfe" + (b"\xff" + bytes(255)) * 9 + b"\0"),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("gif-application", lambda: gif_with(b"!\xff" + (b"\xff" + bytes(255)) * 9 + b"\0"),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("gif-junk", lambda: gif_with(b"\1" * 3000), LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("webp-exif", lambda: webp_with(b"EXIF", exif_of(_SHARED, bytes(900))), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("webp-xmp", lambda: webp_with(b"XMP ", bytes(2001)), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("avif-box", lambda: avif_with_box(b"uuid", bytes(2001)), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("tiff-tag", lambda: tiff_of(60, 40, ((700, 7, 2001, 134),), bytes(2100)), LITTLE_METADATA,
         Reason.TOO_MUCH_METADATA, ""),
    Case("tiff-palette", lambda: tiff_of(60, 40, ((320, 3, 768, 134),), bytes(2000)),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    Case("ppm-comment", lambda: b"P6\n#" + b"x" * 3000 + b"\n2 2 255\n" + bytes(12),
         LITTLE_METADATA, Reason.TOO_MUCH_METADATA, ""),
    # Parts, each of which costs a decoder something however little it holds.
    Case("png-chunks", lambda: png_with(_TEXT * 120), FEW_PARTS, Reason.TOO_MUCH_METADATA, "parts"),
    Case("png-empty-pixels", lambda: png_with(png_chunk(b"IDAT", b"") * 120), FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    Case("jpeg-segments", lambda: jpeg_with(segment(0xFE, b"") * 120), FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    Case("jpeg-exif-segments", lambda: jpeg_with(segment(0xE1, b"Exif\0\0") * 3),
         ImageLimits(max_parts=1000), Reason.TOO_MUCH_METADATA, "parts"),
    Case("gif-sub-blocks", lambda: gif_with(b"!\xfe" + b"\1a" * 40 + b"\0"), FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    Case("webp-chunks", lambda: webp_with(b"abcd", b"", 120), FEW_PARTS, Reason.TOO_MUCH_METADATA,
         "parts"),
    Case("avif-boxes", lambda: avif_with_box(b"free", b"", 120), FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    Case("tiff-tags", lambda: tiff_of(60, 40, tuple((40000 + n, 3, 1, 0) for n in range(120))),
         FEW_PARTS, Reason.TOO_MUCH_METADATA, "parts"),
    Case("tiff-strips", lambda: tiff_of(60, 40, ((273, 4, 120, 134),), bytes(500)), FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    Case("jp2-tiles", lambda: jp2_of_tiles(10), FEW_PARTS, Reason.TOO_MUCH_METADATA, "parts"),
    Case("ppm-comments", lambda: b"P3 2 2 255 " + b"#\n" * 20 + b"0 " * 12, FEW_PARTS,
         Reason.TOO_MUCH_METADATA, "parts"),
    # Memory.
    Case("png-memory", lambda: encoded(picture(), "PNG"), LITTLE_MEMORY, Reason.TOO_COSTLY, "MB"),
    Case("webp-memory", lambda: encoded(picture(), "WEBP"), LITTLE_MEMORY, Reason.TOO_COSTLY, ""),
    Case("png-under-area", lambda: png_of(9000, 9000), DEFAULT, Reason.TOO_COSTLY, "567 MB"),
    Case("gif-under-area", lambda: gif_of(10_000, 10_000), DEFAULT, Reason.TOO_COSTLY, "700 MB"),
    Case("jpeg-coefficients", lambda: jpeg_of(10_000, 10_000, progressive=True, subsampling=0),
         DEFAULT, Reason.TOO_COSTLY, "JPEG"),
    Case("tiff-tile", lambda: tiff_of(60, 40, ((322, 4, 1, 60_000), (323, 4, 1, 60_000))), DEFAULT,
         Reason.TOO_COSTLY, ""),
    Case("avif-copies", lambda: avif_of_copies(200), ImageLimits(max_memory=400_000),
         Reason.TOO_COSTLY, ""),
    Case("jp2-layers", lambda: jp2_of_style(layers=65_535), ImageLimits(max_memory=1_000_000),
         Reason.TOO_COSTLY, ""),
    Case("jp2-blocks", lambda: jp2_of_style(blocks=0), ImageLimits(max_memory=500_000),
         Reason.TOO_COSTLY, ""),
    Case("jp2-precincts", lambda: jp2_of_style(precincts=1), ImageLimits(max_memory=500_000),
         Reason.TOO_COSTLY, ""),
    # Bytes.
    Case("bytes", lambda: encoded(picture(), "PNG"), ImageLimits(max_bytes=100),
         Reason.TOO_MANY_BYTES, "100"),
]  # fmt: skip

WHOLE = [
    ("exif-orientation", lambda: encoded(picture(), "JPEG", exif=_orientation(6)), (60, 40)),
    ("profile", lambda: encoded(picture(), "JPEG", icc_profile=bytes(3000)), (40, 60)),
    ("long-profile", lambda: encoded(picture(), "JPEG", icc_profile=bytes(200_000)), (40, 60)),
    ("png-texts", lambda: png_with(_TEXT * 300), (40, 60)),
    ("progressive", lambda: encoded(picture(), "JPEG", progressive=True), (40, 60)),
    ("mpo", lambda: animation("MPO"), (40, 60)),
    ("tiff-circle", tiff_circle, (40, 60)),
    ("tiff-lzw", lambda: encoded(picture(), "TIFF", compression="tiff_lzw"), (40, 60)),
    ("avif-sequence", lambda: animation("AVIF"), (40, 60)),
    ("avif-container", lambda: encoded(picture(), "AVIF").replace(b"ftypavif", b"ftypmif1"),
     (40, 60)),
    ("aspect-100", lambda: encoded(Image.new("RGB", (200, 2)), "PNG"), (2, 200)),
    ("ppm-comment", lambda: b"P6 # a comment\n2 1 255\n" + bytes(6), (1, 2)),
    ("broken-exif-size", lambda: jpeg_with(_exif([(40000, 7, 2**31, 26)])), (40, 60)),
]  # fmt: skip
"""Unusual files that are within the limits, and have to stay readable."""

PROMISES = [
    Promise(
        "image files",
        "what passes a bound is put aside with its reason before a decoder sees it; unusual files "
        "within the bounds are read",
        "sizes, shapes, frames, passes, metadata, parts and memory past a bound, in nine formats; "
        "headers that announce what is not there, and streams larger than their container says",
        len(CASES) + len(WHOLE),
    )
]


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_past_a_bound_reaches_no_decoder(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = case.made()
    seen: list[str] = []
    monkeypatch.setattr(Image, "open", lambda *_, **__: seen.append("Pillow"))
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: seen.append("simplejpeg"))
    monkeypatch.setattr(simplejpeg, "decode_jpeg_header", lambda *_: seen.append("simplejpeg"))
    for decode in (decode_image, decode_pixels):
        with pytest.raises(BadImage) as caught:
            decode(data, case.limits, target=16)
        assert caught.value.reason is case.reason, caught.value
        assert case.says in caught.value.detail
    assert seen == []


@pytest.mark.parametrize(("name", "made", "shape"), WHOLE, ids=[one[0] for one in WHOLE])
def test_an_unusual_file_within_the_bounds_is_read(
    name: str, made: Callable[[], bytes], shape: tuple[int, int]
) -> None:
    data = made()
    pixels = decode_pixels(data)
    assert pixels.shape == (*shape, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.asarray(decode_image(data))).max() <= 6


def test_each_bound_lets_pass_what_it_names() -> None:
    """A bound that is one off, or that refuses everything, would pass the tests above."""
    data = encoded(picture(), "PNG")
    last = ImageLimits(
        max_bytes=len(data),
        max_pixels=60 * 40,
        max_side=60,
        max_aspect=1.5,
        max_parts=3,
        max_memory=60 * 40 * 7 + 3 * 16 * 16 * 60 // 40,
    )
    assert decode_pixels(data, last, target=16).shape == (40, 60, 3)
    three = animation("GIF")
    assert decode_pixels(three, ImageLimits(max_total_pixels=3 * 2400)).shape == (40, 60, 3)
    text = png_with(png_chunk(b"tEXt", bytes(1000)))
    assert decode_pixels(text, ImageLimits(max_metadata_bytes=1013)).shape == (40, 60, 3)
    with pytest.raises(BadImage, match="pixels"):
        decode_pixels(text, ImageLimits(max_metadata_bytes=1012))


@pytest.mark.parametrize(
    ("plain", "most"),
    [
        (lambda: jp2_of_style(), 500_000),
        (lambda: jp2_of_style(layers=3), 500_000),
        (lambda: avif_of_copies(0), 400_000),
        (lambda: encoded(picture(), "PNG"), 20_000),
    ],
)
def test_a_plain_file_takes_less_than_the_bounds_on_memory_above(
    plain: Callable[[], bytes], most: int
) -> None:
    assert decode_pixels(plain(), ImageLimits(max_memory=most), target=16).shape == (40, 60, 3)


def test_a_size_that_a_decoder_reads_otherwise_is_judged_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The header is read twice, by us and by the decoder; the larger word counts."""
    data = encoded(picture(), "PNG")
    small = data[:16] + struct.pack(">II", 6, 4) + data[24:]
    small = small[:29] + struct.pack(">I", zlib.crc32(small[12:29])) + small[33:]
    original = Image.open
    loaded: list[str] = []

    class Opened:
        def __enter__(self) -> Image.Image:
            image = original(io.BytesIO(data))
            monkeypatch.setattr(image, "load", lambda: loaded.append("pixels"))
            return image

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(Image, "open", lambda *_, **__: Opened())
    with pytest.raises(BadImage) as caught:
        decode_image(small, ImageLimits(max_pixels=2399))
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
    assert loaded == []
