"""Only bytes that may be read are read."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from rac.images import BadImage, ImageLimits, Reason, content_hash, read_image_bytes


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "1.jpg").write_bytes(b"one")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return folder


def reason(
    cell: str | bytes | None, base: Path | None, limits: ImageLimits | None = None
) -> Reason:
    with pytest.raises(BadImage) as caught:
        read_image_bytes(cell, base, limits)
    assert caught.value.detail
    return caught.value.reason


def test_relative_paths_and_bytes(shop: Path) -> None:
    assert read_image_bytes("photos/1.jpg", shop) == b"one"
    assert read_image_bytes("photos/../photos/1.jpg", shop) == b"one"
    assert read_image_bytes("photos\\1.jpg", shop) == b"one"
    assert read_image_bytes(b"raw", None) == b"raw"
    assert read_image_bytes(str(shop / "photos" / "1.jpg"), shop) == b"one"


def test_paths_that_lead_out_need_a_root(shop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.jpg"
    for cell in ("../secret.jpg", str(outside), "photos/../../secret.jpg"):
        assert reason(cell, shop) is Reason.BLOCKED_PATH
        assert read_image_bytes(cell, shop, ImageLimits(roots=(tmp_path,))) == b"secret"
        assert read_image_bytes(cell, shop, ImageLimits(allow_outside=True)) == b"secret"
    with pytest.raises(BadImage, match="--image-root"):
        read_image_bytes(str(outside), shop)
    assert reason("/etc/passwd", shop, ImageLimits(roots=(tmp_path,))) is Reason.BLOCKED_PATH


def test_a_neighbour_folder_of_the_same_beginning_is_outside(shop: Path) -> None:
    """``/data/shop-private`` starts with ``/data/shop`` and still is another folder."""
    other = shop.with_name("shop-private")
    other.mkdir()
    (other / "1.jpg").write_bytes(b"private")
    assert reason("../shop-private/1.jpg", shop) is Reason.BLOCKED_PATH


def test_links_are_followed_before_they_are_judged(shop: Path) -> None:
    (shop / "link.jpg").symlink_to(shop.parent / "secret.jpg")
    (shop / "inside.jpg").symlink_to("photos/1.jpg")
    (shop / "broken.jpg").symlink_to("nowhere.jpg")
    (shop / "loop.jpg").symlink_to("loop.jpg")
    assert reason("link.jpg", shop) is Reason.BLOCKED_PATH
    assert read_image_bytes("inside.jpg", shop) == b"one"
    assert reason("broken.jpg", shop) is Reason.MISSING
    assert reason("loop.jpg", shop) in (Reason.MISSING, Reason.UNREADABLE)


@pytest.mark.parametrize("cell", [None, "", "   ", b"", "photos/2.jpg", "photos/1.jpg/x", "a\0b"])
def test_nothing_there(cell: str | bytes | None, shop: Path) -> None:
    assert reason(cell, shop) is Reason.MISSING


def test_what_is_no_file(shop: Path) -> None:
    assert reason("photos", shop) is Reason.UNREADABLE
    os.mkfifo(shop / "pipe.jpg")
    assert reason("pipe.jpg", shop) is Reason.UNREADABLE
    assert reason("x" * 5000, shop) is Reason.UNREADABLE
    assert reason("photos/1.jpg", None) is Reason.BLOCKED_PATH


def test_sizes(shop: Path) -> None:
    assert read_image_bytes("photos/1.jpg", shop, ImageLimits(max_bytes=3)) == b"one"
    assert reason("photos/1.jpg", shop, ImageLimits(max_bytes=2)) is Reason.TOO_MANY_BYTES
    assert reason(b"one", shop, ImageLimits(max_bytes=2)) is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("file:///etc/passwd", Reason.BLOCKED_PATH),
        ("FILE:/etc/passwd", Reason.BLOCKED_PATH),
        ("local://etc/passwd", Reason.BLOCKED_PATH),
        ("simplecache::file:///etc/passwd", Reason.UNSUPPORTED),
        ("zip://x.png::file:///tmp/a.zip", Reason.UNSUPPORTED),
        ("ftp://example.org/a.png", Reason.UNSUPPORTED),
        ("data:image/png;base64,AAAA", Reason.UNSUPPORTED),
    ],
)
def test_addresses_that_are_not_read(cell: str, expected: Reason, shop: Path) -> None:
    assert reason(cell, shop) is expected


def test_a_file_name_with_a_colon_is_a_file_name(shop: Path) -> None:
    (shop / "red:blue.jpg").write_bytes(b"colon")
    assert read_image_bytes("red:blue.jpg", shop) == b"colon"


def test_cloud_stores() -> None:
    with fsspec.open("memory://rac-test/a.png", "wb") as handle:
        handle.write(b"stored")
    assert read_image_bytes("memory://rac-test/a.png", None) == b"stored"
    assert reason("memory://rac-test/none.png", None) is Reason.MISSING
    assert (
        reason("memory://rac-test/a.png", None, ImageLimits(max_bytes=5)) is Reason.TOO_MANY_BYTES
    )


def test_content_hash() -> None:
    assert content_hash(b"a") != content_hash(b"b")
    assert len(content_hash(b"a")) == 64


@pytest.mark.parametrize("field", ["max_bytes", "max_pixels", "timeout_s"])
def test_limits_are_above_nothing(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ImageLimits(**{field: 0})
