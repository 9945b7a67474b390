from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from eval.thumbnails import FolderReader, NoThumbnail, make_thumbnail


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def decode(thumbnail):
    assert thumbnail.reason is None
    data = base64.b64decode(thumbnail.uri.removeprefix("data:image/jpeg;base64,"))
    return Image.open(io.BytesIO(data))


def wide(mode):
    return Image.new("RGB", (400, 100), "red").convert(mode)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encode(wide("RGB")), (80, 20)),
        (encode(wide("P")), (80, 20)),
        (encode(wide("L")), (80, 20)),
        (encode(wide("RGBA")), (80, 20)),
        (encode(wide("CMYK"), "JPEG"), (80, 20)),
        (encode(Image.fromarray(np.full((100, 400), 40000, np.uint16))), (80, 20)),
        (encode(wide("P"), "GIF", save_all=True, append_images=[wide("P")]), (80, 20)),
        (encode(Image.new("RGB", (3, 2))), (3, 2)),
    ],
)
def test_any_mode_becomes_a_small_jpeg(data, size):
    shown = decode(make_thumbnail("x", lambda _: data, 80))
    assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", size)


def test_rotation_by_exif_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(wide("RGB"), "JPEG", exif=exif)
    assert decode(make_thumbnail("x", lambda _: data, 80)).size == (20, 80)


def test_transparent_is_white_and_sixteen_bits_keep_their_brightness():
    clear = encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert min(decode(make_thumbnail("x", lambda _: clear, 8)).getpixel((4, 4))) > 250
    grey = encode(Image.fromarray(np.full((8, 8), 32768, np.uint16)))
    level = decode(make_thumbnail("x", lambda _: grey, 8)).getpixel((4, 4))[0]
    assert 120 < level < 136


def test_bomb_is_refused_before_it_is_decoded():
    header = encode(Image.new("1", (1, 1)))
    # Width and height of the PNG header, 30,000 each, with its checksum made right.

    chunk = b"IHDR" + struct.pack(">II", 30_000, 30_000) + header[24:29]
    bomb = header[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + header[33:]
    assert make_thumbnail("x", lambda _: bomb, 80).reason == "too many pixels"


@pytest.mark.parametrize(
    "data", [b"", b"text", encode(wide("RGB"), "JPEG")[:300], encode(wide("RGB"))[:60]]
)
def test_damaged_images_are_a_reason_and_not_a_fault(data):
    assert make_thumbnail("x", lambda _: data, 80).reason == "not a readable image"


def test_no_reference_and_a_failing_reader():
    def fail(_):
        raise PermissionError

    assert make_thumbnail(None, fail, 80).reason == "no image"
    assert make_thumbnail("x", fail, 80).reason == "unreadable"


@pytest.mark.parametrize("reference", ["../secret", "/etc/passwd", "a/../../secret"])
def test_paths_stay_inside_the_folder(tmp_path, reference):
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(NoThumbnail, match="outside"):
        FolderReader(folder)(reference)


def test_links_are_followed_before_they_are_judged(tmp_path):
    """Guards against a picture of elsewhere on a page, by a link that lies in the image folder."""
    (tmp_path / "secret").write_bytes(b"x")
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(NoThumbnail, match="outside"):
        FolderReader(folder)("link")
    assert FolderReader(folder, allow_outside=True)("link") == b"x"


def test_a_decoder_that_is_given_judges_the_image():
    def refuse(data, keep):
        assert (data, keep) == (b"x", 160)
        raise NoThumbnail("too costly")

    assert make_thumbnail("x", lambda _: b"x", 80, refuse).reason == "too costly"


def test_outside_is_opened_where_that_is_allowed(tmp_path):
    (tmp_path / "photo").write_bytes(b"x")
    reader = FolderReader(tmp_path / "photos", allow_outside=True)
    assert reader(str(tmp_path / "photo")) == b"x"
    assert reader("../photo") == b"x"
