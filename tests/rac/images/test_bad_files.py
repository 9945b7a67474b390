"""Ten thousand broken files: none escapes, each has a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from rac.images import BadImage, ImageLimits, Reason, decode_image, decode_pixels

KINDS = {"JPEG": 80, "PNG": None, "WEBP": 80}
LIMITS = ImageLimits(max_pixels=1_000_000)


def encoded(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A small picture with some detail, so that its file has parts of every sort."""
    random = np.random.default_rng(5)
    picture = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(size)
    out = io.BytesIO()
    quality = KINDS[kind]
    picture.save(out, kind, **({} if quality is None else {"quality": quality}))
    return out.getvalue()


def judged(data: bytes) -> str:
    """What both ways of decoding say; they must agree, and nothing else may come out."""
    outcomes = [_outcome(decode, data) for decode in (decode_image, decode_pixels)]
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


def _outcome(decode: Callable[[bytes, ImageLimits], object], data: bytes) -> str:
    try:
        found = decode(data, LIMITS)
    except BadImage as error:
        fault = error
    else:
        assert np.asarray(found).shape[2] == 3
        return "decoded"
    assert isinstance(fault.reason, Reason)
    assert fault.detail.strip()
    return str(fault.reason)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_at_every_offset(kind: str) -> None:
    data = encoded(kind)
    found = Counter(judged(data[:length]) for length in range(len(data)))
    assert len(data) > 400
    # Only a file that lacks no more than its closing marks and checksums may pass as whole.
    assert found["decoded"] <= 24, found
    assert found[Reason.TRUNCATED] > len(data) / 2, found
    assert judged(data) == "decoded"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_bytes_changed(kind: str) -> None:
    data = bytearray(encoded(kind))
    random = np.random.default_rng(11)
    for _ in range(1500):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 3):
            broken[place] = random.integers(0, 256)
        judged(bytes(broken))


def test_random_bytes_are_no_pictures() -> None:
    random = np.random.default_rng(3)
    starts = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"BM"]
    for number in range(3000):
        body = random.bytes(int(random.integers(0, 400)))
        assert judged(starts[number % len(starts)] + body) != "decoded"


def _png_of(width: int, height: int) -> bytes:
    """A PNG that announces any size over a few bytes of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_bombs_are_refused_by_their_header() -> None:
    random = np.random.default_rng(1)
    for _ in range(1000):
        width, height = (int(side) for side in random.integers(1001, 2**31 - 1, 2))
        assert judged(_png_of(width, height)) == Reason.TOO_MANY_PIXELS
    jpeg = bytearray(encoded("JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    for _ in range(500):
        jpeg[at : at + 4] = struct.pack(">HH", *random.integers(1001, 65_500, 2))
        assert judged(bytes(jpeg)) == Reason.TOO_MANY_PIXELS


def test_whatever_the_fast_decoder_raises_is_judged_by_the_slow_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards against a job that ends because of one JPEG and a fault other than ValueError."""

    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("simplejpeg.decode_jpeg", starve)
    data = encoded("JPEG")
    assert (decode_pixels(data, LIMITS) == np.asarray(decode_image(data, LIMITS))).all()
