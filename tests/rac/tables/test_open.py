"""From what the user typed to a table, or to a message that helps."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from rac.errors import InputError
from rac.tables import Columns, open_table, write_like
from rac.tables.columns import find_columns


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text("SKU,photo,Category,caption,colour\n7,a.png,shoes,a shoe,red\n,b.png, ,,\n")
    return path


def test_roles_by_name_and_by_wish(shop: Path) -> None:
    table = open_table(shop)
    assert table.roles == Columns("photo", "Category", "caption", "SKU")
    assert table.base == shop.parent
    found = table.items(next(table.batches()))
    assert (found[0].id, found[0].image, found[0].label, found[0].text) == (
        "7", "a.png", "shoes", "a shoe",
    )  # fmt: skip
    assert (found[1].id, found[1].label, found[1].text) == ("row:1", None, None)
    assert open_table(shop, label="colour").roles.label == "colour"


def test_a_wrong_column_lists_the_columns(shop: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_table(shop, label="color")
    message = str(caught.value)
    assert "no column 'color'" in message
    assert "'SKU', 'photo', 'Category', 'caption', 'colour'" in message
    assert "Did you mean 'colour'?" in message


def test_a_column_that_cannot_be_done_without(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    table = open_table(path)
    assert table.roles == Columns()
    assert table.items(next(table.batches()))[0].image is None
    with pytest.raises(InputError, match=r"--image; the columns are: 'a', 'b'"):
        table.require("image")
    with pytest.raises(InputError, match="no column 'c'"):
        table.strings(next(table.batches()), "c")


def test_the_likelier_name_wins() -> None:
    assert find_columns(["url", "image"], "t").image == "image"
    assert find_columns(["IMAGE_URL", "notes"], "t").image == "IMAGE_URL"


def test_ids_of_slices_must_be_said(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("image\na\nb\nc\n")
    table = open_table(path)
    batch = next(table.batches())
    bare = batch.replace_schema_metadata(None)
    with pytest.raises(ValueError, match="first_row"):
        table.items(bare)
    assert [item.id for item in table.items(bare.slice(1), first_row=1)] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.csv", "no such file"),
        ("fashion-mnits", "Did you mean 'fashion-mnist'"),
        ("digits:dev", "no split 'dev'; the splits are: train, val, test"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_table(name)


def test_files_of_other_kinds(tmp_path: Path, shop: Path) -> None:
    path = tmp_path / "shop.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"end in \.xlsx are not read"):
        open_table(path)
    with pytest.raises(InputError, match="a file has no splits"):
        open_table(shop, split="train")


def test_writing_is_all_or_nothing(shop: Path, tmp_path: Path) -> None:
    table = open_table(shop)
    out = tmp_path / "out"
    path = write_like(table, out, "filled", table.batches())
    before = path.read_bytes()

    def failing() -> object:
        yield next(table.batches())
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_like(table, out, "filled", failing())  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [child.name for child in out.iterdir()] == ["filled.csv"]


def test_the_table_itself_is_never_replaced(shop: Path) -> None:
    table = open_table(shop)
    with pytest.raises(InputError, match="would replace the table"):
        write_like(table, shop.parent, "shop", table.batches())


def test_lost_columns_are_a_fault_of_the_program(shop: Path, tmp_path: Path) -> None:
    table = open_table(shop)
    batch = pa.RecordBatch.from_pydict({"SKU": ["1"]})
    with pytest.raises(ValueError, match="lack columns"):
        write_like(table, tmp_path / "out", "x", [batch])


def test_columns_come_back_in_their_order_and_new_ones_last(shop: Path, tmp_path: Path) -> None:
    table = open_table(shop)
    batch = table.with_cells(next(table.batches()), "sleeve", {1: "long"})
    path = write_like(table, tmp_path / "out", "x", [batch.select(batch.schema.names[::-1])])
    assert path.read_text().splitlines() == [
        "SKU,photo,Category,caption,colour,sleeve",
        "7,a.png,shoes,a shoe,red,",
        ",b.png, ,,,long",
    ]
