"""Each kind of picture gives the right pixels; each kind of damage gives its reason."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from rac.images import BadImage, ImageLimits, Reason, decode_image

RED = (200, 30, 40)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    image = decode_image(data)
    assert image.mode == "RGB"
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return value


def reason(data: bytes, limits: ImageLimits | None = None) -> Reason:
    with pytest.raises(BadImage) as caught:
        decode_image(data, limits)
    assert caught.value.detail
    return caught.value.reason


def outcome(data: bytes) -> Image.Image | Reason:
    """The picture, or the reason why there is none; anything else that is raised fails the test."""
    try:
        return decode_image(data)
    except BadImage as error:
        return error.reason


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0\0\0\0"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_lossless_formats_keep_their_pixels(kind: str) -> None:
    assert pixel(encoded(Image.new("RGB", (5, 4), RED), kind)) == RED


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy_formats_come_near(kind: str) -> None:
    found = pixel(encoded(Image.new("RGB", (32, 32), RED), kind), (16, 16))
    assert np.abs(np.subtract(found, RED)).max() <= 6


def test_alpha_is_laid_over_white() -> None:
    # Half of red over half of white: 0.5 * (255, 0, 0) + 0.5 * 255 = (255, 127.5, 127.5).
    found = pixel(encoded(Image.new("RGBA", (3, 3), (255, 0, 0, 128)), "PNG"))
    assert found[0] == 255
    assert abs(found[1] - 127) <= 1
    assert pixel(encoded(Image.new("LA", (3, 3), (0, 0)), "PNG")) == (255, 255, 255)


def test_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 0), 1)
    data = encoded(image, "PNG", transparency=0)
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 0)) == (200, 0, 0)


def test_grey_with_a_transparent_shade_and_one_bit() -> None:
    assert pixel(encoded(Image.new("L", (2, 2), 77), "PNG")) == (77, 77, 77)
    assert pixel(encoded(Image.new("L", (2, 2), 77), "PNG", transparency=77)) == (255, 255, 255)
    assert pixel(encoded(Image.new("1", (9, 2), 1), "PNG")) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257, 1), (25700, 100), (65535, 255)])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind: str, value: int, grey: int) -> None:
    """Pillow's own conversion clips 16-bit grey at 255, so that a photo turns white."""
    data = encoded(Image.fromarray(np.full((3, 3), value, np.uint16)), kind)
    assert pixel(data) == (grey, grey, grey)


def test_sixteen_bit_rgb_takes_the_high_byte() -> None:
    row = b"\0" + struct.pack(">HHH", 0x1234, 0xABCD, 0xFF00) * 2
    body = [
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in body
    )
    assert pixel(data) == (0x12, 0xAB, 0xFF)


def test_floats_and_thirty_two_bit_integers() -> None:
    floats = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    found = np.asarray(decode_image(encoded(Image.fromarray(floats), "TIFF")))[0, :, 0]
    assert found.tolist() == [0, 128, 255, 0]
    large = np.array([[0, 2**31 - 1]], np.int32)
    found = np.asarray(decode_image(encoded(Image.fromarray(large), "TIFF")))[0, :, 0]
    assert found.tolist() == [0, 255]


def without_adobe_marker(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    return data[:start] + data[start + 2 + length :]


def test_cmyk_of_photoshop_and_of_others() -> None:
    """Photoshop stores CMYK upside down and says so; without its marker values are as they are."""
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    data = encoded(cyan, "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(np.subtract(pixel(data), (0, 255, 255))).max() <= 4
    plain = without_adobe_marker(data)
    # What is stored is the inverse of cyan: full magenta, yellow and black.
    assert np.abs(np.subtract(pixel(plain), (0, 0, 0))).max() <= 4
    tiff = encoded(cyan, "TIFF")
    assert pixel(tiff) == (0, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    """The picture is stored turned; upright its top left quarter is red and the rest is blue."""
    upright = Image.new("RGB", (32, 16), (0, 0, 255))
    upright.paste((255, 0, 0), (0, 0, 16, 8))
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_image(encoded(stored, kind, exif=exif))
    assert found.size == (32, 16)
    error = np.asarray(found).astype(int) - np.asarray(upright)
    assert np.abs(error).mean() < 12


def test_broken_exif_is_no_reason_to_lose_the_picture() -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_image(data).size == (8, 8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    found = pixel(data, (10, 10))
    assert found[0] > 240
    assert max(found[1:]) < 15


def test_a_header_of_nine_hundred_million_pixels_costs_nothing() -> None:
    tracemalloc.start()
    try:
        assert reason(png_header(30_000, 30_000)) is Reason.TOO_MANY_PIXELS
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_the_limit_of_pixels_is_the_last_size_allowed() -> None:
    data = encoded(noise(30, 20), "PNG")
    assert decode_image(data, ImageLimits(max_pixels=600)).size == (30, 20)
    assert reason(data, ImageLimits(max_pixels=599)) is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_is_measured_before_its_decoder_reserves_the_canvas(lossless: bool) -> None:
    data = encoded(noise(64, 48), "WEBP", lossless=lossless)
    assert reason(data, ImageLimits(max_pixels=64 * 48 - 1)) is Reason.TOO_MANY_PIXELS
    animated = encoded(noise(64, 48), "WEBP", save_all=True, append_images=[noise(64, 48, 1)])
    assert reason(animated, ImageLimits(max_pixels=64 * 48 - 1)) is Reason.TOO_MANY_PIXELS


def test_png_text_that_unpacks_to_gigabytes_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "0" * 80_000_000, zip=True)
    data = encoded(Image.new("RGB", (2, 2)), "PNG", pnginfo=info)
    assert len(data) < 1_000_000
    assert reason(data) is Reason.TOO_MUCH_METADATA


def test_too_many_bytes() -> None:
    data = encoded(noise(), "PNG")
    assert reason(data, ImageLimits(max_bytes=len(data) - 1)) is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Reason.NOT_AN_IMAGE),
        (b"just some text, called photo.png", Reason.NOT_AN_IMAGE),
        (b"<!DOCTYPE html><html><body>404</body></html>", Reason.NOT_AN_IMAGE),
        (bytes(range(200, 256)) * 20, Reason.NOT_AN_IMAGE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.UNSUPPORTED),
        (b"%PDF-1.7\n", Reason.UNSUPPORTED),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED),
        (b"\0\0\0\x18ftypheic\0\0\0\0", Reason.UNSUPPORTED),
        (b"8BPS\0\1", Reason.UNSUPPORTED),
        (b"\x89PNG\r\n\x1a\n", Reason.TRUNCATED),
        (b"\xff\xd8\xff\xe0", Reason.TRUNCATED),
    ],
)
def test_what_is_no_picture(data: bytes, expected: Reason) -> None:
    assert reason(data) is expected


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}),
     ("BMP", {}), ("WEBP", {"lossless": True})],
)  # fmt: skip
def test_a_picture_cut_anywhere_is_truncated(kind: str, options: dict[str, object]) -> None:
    data = encoded(noise(), kind, **options)
    whole = np.asarray(decode_image(data))
    # A file can miss its end mark and no pixel, hence the last dozen bytes are another matter.
    for length in range(16, len(data) - 12, max(1, len(data) // 150)):
        assert reason(data[:length]) is Reason.TRUNCATED, length
    for length in range(len(data) - 12, len(data)):
        found = outcome(data[:length])
        assert found is Reason.TRUNCATED or np.array_equal(np.asarray(found), whole)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "AVIF"]),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_damage_never_escapes_as_anything_but_bad_image(
    kind: str, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(encoded(noise(24, 18), kind))
    for where, value in flips:
        data[int(where * len(data))] = value
    found = outcome(bytes(data))
    assert isinstance(found, Reason) or found.mode == "RGB"


STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"II*\0",
    b"BM",
]


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
def test_random_bytes_never_escape(start: bytes, rest: bytes) -> None:
    found = outcome(start + rest)
    assert isinstance(found, Reason) or found.mode == "RGB"


def test_target_lets_a_jpeg_be_read_smaller_and_no_other_way() -> None:
    photo = noise(16, 12).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encoded(photo, "JPEG", quality=90)
    assert decode_image(data).size == (1600, 1200)
    small = decode_image(data, target=224)
    assert min(small.size) >= 224
    assert small.size == (400, 300)
    assert decode_image(encoded(photo, "PNG"), target=224).size == (1600, 1200)
    assert decode_image(data, target=5000).size == (1600, 1200)
    reference = np.asarray(photo.resize((400, 300), Image.Resampling.BOX)).astype(int)
    assert np.abs(np.asarray(small) - reference).mean() < 3
