"""Folders of images as tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rac.errors import InputError
from rac.images import BadImage, Reason, read_image_bytes
from rac.tables import Item, open_table, write_like


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("b/2.PNG", "a/10.jpg", "a/9.jpg", "a/deep/er/1.webp", "a/notes.txt",
                 ".hidden/1.png", "a/.DS_Store.png", "top.gif"):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def items(source: str | Path, size: int = 2) -> list[Item]:
    table = open_table(source)
    return [item for batch in table.batches(size) for item in table.items(batch)]


def test_subfolders_are_labels_in_sorted_order(photos: Path) -> None:
    found = items(f"imagefolder:{photos}")
    assert [(item.image, item.label) for item in found] == [
        ("a/10.jpg", "a"),
        ("a/9.jpg", "a"),
        ("a/deep/er/1.webp", "er"),
        ("b/2.PNG", "b"),
        ("top.gif", None),
    ]
    assert [item.id for item in found] == ["0", "1", "2", "3", "4"]
    assert items(photos) == found


def test_without_subfolders_there_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    table = open_table(tmp_path)
    assert table.columns == ("image",)
    assert table.roles.label is None


def test_links(photos: Path, tmp_path: Path) -> None:
    """A loop of links ends; a link to nowhere is a row, so that somebody hears of it."""
    (photos / "a" / "loop").symlink_to(photos)
    (photos / "b" / "self").symlink_to("self")
    (photos / "b" / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    found = items(photos)
    assert len(found) == 6
    broken = next(item for item in found if item.image == "b/broken.jpg")
    with pytest.raises(BadImage) as caught:
        read_image_bytes(broken.image, photos)
    assert caught.value.reason in (Reason.MISSING, Reason.BLOCKED_PATH)


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always UTF-8 there")
def test_a_file_name_that_is_no_text(photos: Path) -> None:
    (Path(os.fsdecode(os.fsencode(photos) + b"/z\xff.png"))).write_bytes(b"x")
    assert items(photos)[-1].image == "z\\xff.png"


def test_metadata_names_the_rows(photos: Path) -> None:
    (photos / "metadata.csv").write_text(
        "file_name,caption,colour\nb/2.PNG,second,red\ngone.png,lost,\n./a/9.jpg,ninth,blue\n"
    )
    table = open_table(photos)
    assert table.columns == ("file_name", "caption", "colour")
    found = items(photos)
    assert [(item.image, item.text) for item in found] == [
        ("b/2.PNG", "second"),
        ("gone.png", "lost"),
        ("./a/9.jpg", "ninth"),
        ("a/10.jpg", None),
        ("a/deep/er/1.webp", None),
        ("top.gif", None),
    ]
    assert [item.id for item in found] == [str(number) for number in range(6)]


def test_metadata_without_file_names(photos: Path) -> None:
    (photos / "metadata.jsonl").write_text('{"name": "x"}\n')
    with pytest.raises(InputError, match="'file_name' is needed; the columns are: 'name'"):
        open_table(photos)


def test_written_as_csv(photos: Path, tmp_path: Path) -> None:
    table = open_table(photos)
    path = write_like(table, tmp_path / "out", "filled", table.batches())
    assert path.read_text().splitlines()[:2] == ["image,label", "a/10.jpg,a"]


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        open_table(f"imagefolder:{tmp_path / 'empty'}")
    with pytest.raises(InputError, match="there is no folder"):
        open_table(f"imagefolder:{tmp_path / 'none'}")
