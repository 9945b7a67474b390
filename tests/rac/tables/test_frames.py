"""What a program holds in memory, read as a table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pyarrow as pa
import pytest
from PIL import Image

from rac.errors import InputError
from rac.images import BadImage, decode_image
from rac.tables import Columns, Item, Table, open_table, write_like
from tests.toy import toy_image


def items_of(table: Table, size: int = 1024) -> list[Item]:
    return [item for batch in table.batches(size) for item in table.items(batch)]


def pixels_of(cell: Any) -> np.ndarray:
    assert isinstance(cell, bytes)
    return np.asarray(decode_image(cell))


def shop(**more: Any) -> dict[str, Any]:
    return {"sku": ["a", "b", "c"], "photo": ["1.png", None, "3.png"], **more}


def frames(columns: dict[str, Any]) -> dict[str, Any]:
    """The same rows in every kind of frame that is installed."""
    found = {
        "pandas": pandas.DataFrame(columns),
        "arrow": pa.table(columns),
        "datasets": datasets.Dataset.from_dict(columns),
    }
    try:
        import polars
    except ImportError:
        return found
    return {**found, "polars": polars.DataFrame(columns)}


def test_every_kind_of_frame_gives_the_same_items() -> None:
    columns = shop(category=["shoes", "", None], size=[38.0, None, 40.0], seen=[True, None, False])
    for kind, frame in frames(columns).items():
        table = open_table(frame, label="category")
        assert table.roles == Columns("photo", "category", None, "sku"), kind
        found = items_of(table, 2)
        assert [(item.id, item.image, item.label) for item in found] == [
            ("a", "1.png", "shoes"), ("b", None, None), ("c", "3.png", None),
        ], kind  # fmt: skip
        batch = next(table.batches())
        assert table.strings(batch, "size") == ["38", None, "40"], kind
        assert table.strings(batch, "seen") == ["true", None, "false"], kind
        assert table.num_rows() == 3
        assert table.base == Path.cwd()


def test_a_wrong_column_lists_the_columns() -> None:
    for frame in frames(shop()).values():
        with pytest.raises(InputError, match=r"'categry'; the columns are: 'sku', 'photo'"):
            open_table(frame, label="categry")


def test_frames_without_rows_or_columns_have_none() -> None:
    for frame in frames({"image": [], "label": []}).values():
        assert items_of(open_table(frame)) == []
    assert items_of(open_table(pandas.DataFrame())) == []
    assert items_of(open_table([])) == []


def test_wild_columns_of_pandas() -> None:
    frame = pandas.DataFrame(
        {
            "image": ["1.png", "2.png", "3.png"],
            "mixed": [3, "x", pandas.NA],
            "empty": [np.nan] * 3,
            "kind": pandas.Categorical(["b", None, "a"]),
            "count": pandas.array([1, None, 2], "Int64"),
            "tags": [["a", "b"], None, []],
            7: ["x", "y", "z"],
        },
        index=pandas.Index(["p", "q", "r"], name="sku"),
    )
    table = open_table(frame)
    assert table.columns == ("sku", "image", "mixed", "empty", "kind", "count", "tags", "7")
    assert [item.id for item in items_of(table)] == ["p", "q", "r"]
    batch = next(table.batches())
    assert table.strings(batch, "mixed") == ["3", "x", None]
    assert table.strings(batch, "empty") == [None] * 3
    assert pa.types.is_string(table.schema.field("empty").type)
    assert table.strings(batch, "kind") == ["b", None, "a"]
    assert table.strings(batch, "count") == ["1", None, "2"]
    assert table.strings(batch, "7") == ["x", "y", "z"]
    with pytest.raises(InputError, match="more than one column is called 'a'"):
        open_table(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_polars_keeps_words_categories_and_objects() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "image": polars.Series([toy_image("red"), toy_image("blue")], dtype=polars.Object),
            "kind": polars.Series(["b", None], dtype=polars.Categorical),
            "grade": polars.Series(["x", "y"], dtype=polars.Enum(["x", "y"])),
            "mixed": polars.Series([1, "z"], dtype=polars.Object),
            "nothing": [None, None],
            "tags": [["a"], None],
        }
    )
    table = open_table(frame)
    batch = next(table.batches())
    assert table.roles.image == "image"
    assert table.strings(batch, "kind") == ["b", None]
    assert table.strings(batch, "grade") == ["x", "y"]
    assert table.strings(batch, "mixed") == ["1", "z"]
    assert table.strings(batch, "nothing") == [None, None]
    np.testing.assert_array_equal(pixels_of(items_of(table)[0].image), np.asarray(toy_image("red")))


def test_pictures_arrays_bytes_and_paths_in_one_sequence(tmp_path: Path) -> None:
    red = toy_image("red")
    out = io.BytesIO()
    red.save(out, "PNG")
    array = np.asarray(red)
    grey = array[:, :, 0]
    cells = [
        red, array, array[:, :, ::-1][:, :, ::-1], grey, grey[:, :, None], out.getvalue(),
        bytearray(out.getvalue()), tmp_path / "x.png", "y.png", None, float("nan"), pandas.NA,
        {"bytes": None, "path": "z.png"}, np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 3)),
    ]  # fmt: skip
    table = open_table(cells)
    found = [item.image for item in items_of(table)]
    for cell in found[:3]:
        np.testing.assert_array_equal(pixels_of(cell), array)
    for cell in found[3:5]:
        np.testing.assert_array_equal(pixels_of(cell)[:, :, 1], grey)
    assert found[5] == found[6] == out.getvalue()
    assert found[7:] == [str(tmp_path / "x.png"), "y.png", *[None] * 3, "z.png", None, None]
    # The same the second time.
    assert [item.image for item in items_of(table, 2)] == found


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "F", "HSV"])
def test_pictures_of_any_mode_are_what_their_file_would_be(mode: str) -> None:
    picture = toy_image("green").convert("L").convert(mode) if mode in ("I;16", "F") else (
        toy_image("green").convert("RGB").convert(mode)
    )  # fmt: skip
    item = items_of(open_table([picture]))[0]
    assert pixels_of(item.image).shape == (20, 24, 3)
    out = io.BytesIO()
    if mode in ("L", "LA", "P", "RGBA", "I;16", "1"):
        picture.save(out, "PNG")
        np.testing.assert_array_equal(pixels_of(item.image), pixels_of(out.getvalue()))


def test_a_cmyk_jpeg_looks_the_same_read_or_unread() -> None:
    """What PIL inverts in such a file is told by the file's kind, which a copy would lose."""
    out = io.BytesIO()
    toy_image("green").convert("CMYK").save(out, "JPEG", quality=95)
    opened = Image.open(io.BytesIO(out.getvalue()))
    opened.load()
    item = items_of(open_table([opened]))[0]
    np.testing.assert_array_equal(pixels_of(item.image), pixels_of(out.getvalue()))


def test_a_picture_that_cannot_be_converted_is_a_bad_one() -> None:
    item = items_of(open_table([Image.new("La", (4, 4))]))[0]
    with pytest.raises(BadImage, match="not-an-image"):
        decode_image(item.image)


def test_a_picture_that_was_not_read_yet_is_its_file(tmp_path: Path) -> None:
    toy_image("blue", size=(300, 300)).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-400])
    opened = [Image.open(tmp_path / "a.jpg"), Image.open(tmp_path / "cut.jpg")]
    opened.append(Image.open(io.BytesIO(whole)))
    found = [item.image for item in items_of(open_table(opened))]
    assert found == [whole, whole[:-400], whole]
    opened[0].load()
    assert items_of(open_table([opened[0]]))[0].image != whole


def test_the_side_that_is_up_is_kept() -> None:
    picture = toy_image("red", size=(30, 10))
    exif = picture.getexif()
    exif[0x0112] = 6
    turned = Image.open(io.BytesIO(_saved(picture, exif)))
    turned.load()
    assert pixels_of(items_of(open_table([turned]))[0].image).shape == (30, 10, 3)


def _saved(picture: Image.Image, exif: Image.Exif) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_one_image_or_an_array_of_images() -> None:
    array = np.zeros((5, 6, 3), np.uint8)
    assert len(items_of(open_table(array))) == 1
    assert len(items_of(open_table(np.zeros((4, 5, 6, 3), np.uint8)))) == 4
    assert len(items_of(open_table(toy_image("red")))) == 1
    assert len(items_of(open_table(b"..."))) == 1
    assert len(items_of(open_table(pandas.Series(["a.png", "b.png"])))) == 2


WRONG = [
    (5, "int cannot be read as a table"),
    ({"image": ["a.png"]}, "make a DataFrame of it"),
    ([5], "the images, row 0: int is no image"),
    ([None, np.zeros((3, 4, 4))], r"row 1: an image array is uint8.* not float64 \(3, 4, 4\)"),
    ([np.zeros((3, 9, 9), np.uint8)], r"not uint8 \(3, 9, 9\)"),
    (datasets.DatasetDict({"train": datasets.Dataset.from_dict({})}), "give one of them: 'train'"),
    (datasets.Dataset.from_dict({"a": [1]}).to_iterable_dataset(), "give the Dataset"),
]


@pytest.mark.parametrize(("given", "told"), WRONG, ids=[told[:20] for _, told in WRONG])
def test_what_is_no_table_is_refused_with_what_would_be(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_table(given)


def test_data_sets_keep_their_classes_and_selected_rows() -> None:
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["b", "a"])}
    )
    pictures = [toy_image(colour) for colour in ("red", "green", "blue")]
    data = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1, 1]}, features=features)
    table = open_table(data.select([2, 0]))
    found = items_of(table)
    assert [item.label for item in found] == ["a", "b"]
    np.testing.assert_array_equal(pixels_of(found[0].image), np.asarray(pictures[2]))


def test_a_frame_is_written_as_parquet_and_read_again(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"image": [toy_image("red"), "x.png"], "colour": ["red", None]})
    table = open_table(frame)
    path = write_like(table, tmp_path, "copy", table.batches())
    assert path == tmp_path / "copy.parquet"
    assert items_of(open_table(path)) == items_of(table)


def test_an_open_table_is_given_back() -> None:
    table = open_table(pandas.DataFrame(shop()))
    assert open_table(table) is table
    with pytest.raises(InputError, match="is open"):
        open_table(table, label="photo")
    with pytest.raises(InputError, match="no splits"):
        open_table(pandas.DataFrame(shop()), split="train")
