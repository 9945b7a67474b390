"""Each official format, read from a tiny stand-in of the same shape."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from rac.cards import Card, load_card, prepare_card
from rac.cards.card import Split
from rac.errors import JobFailed
from rac.images import ImageLimits, decode_image, read_image_bytes
from rac.tables.parquet_table import ParquetTable

GREY = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28).astype(np.uint8)


def small(name: str, **rows: int) -> Card:
    """A card with the numbers of rows that the stand-in has."""
    splits = tuple(Split(name=split, rows=count) for split, count in rows.items())
    return load_card(name).model_copy(update={"splits": splits})


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def write_idx(path: Path, values: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture
def idx_files(tmp_path: Path) -> Path:
    folder = tmp_path / "idx"
    folder.mkdir()
    labels = np.tile(np.arange(10, dtype=np.uint8), 100)
    images = np.stack([GREY + label for label in labels])
    for stem in ("train", "t10k"):
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", labels)
    return folder


def test_fashion_mnist(idx_files: Path, tmp_path: Path) -> None:
    card = small("fashion-mnist", train=1000, test=1000)
    folder = prepare_card(card, tmp_path / "out", source=idx_files)
    rows = rows_of(folder, "train")
    assert rows[9]["label"] == "ankle boot"
    assert np.array_equal(np.asarray(decode_image(rows[9]["image"]))[..., 0], GREY + 9)
    assert {row["split"] for row in rows} == {"train"}
    assert len({row["id"] for row in rows}) == 1000


def test_fashion_mnist_lt(idx_files: Path, tmp_path: Path) -> None:
    # 100 of the first class, floor(100 * 100 ** (-i / 9)) of class i, 1 of the last.
    sizes = [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    card = small("fashion-mnist-lt", train=sum(sizes), test=1000)
    rows = rows_of(prepare_card(card, tmp_path / "out", source=idx_files), "train")
    names = [row["label"] for row in rows]
    assert [names.count(name) for name in dict.fromkeys(names)] == sizes
    again = rows_of(prepare_card(card, tmp_path / "again", source=idx_files), "train")
    assert rows == again


def test_a_broken_idx_file(idx_files: Path, tmp_path: Path) -> None:
    file = idx_files / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-1]))
    with pytest.raises(JobFailed, match=r"train-images.*announced"):
        prepare_card(small("fashion-mnist", train=1, test=1), tmp_path / "out", source=idx_files)
    assert not (tmp_path / "out" / "fashion-mnist").exists()


@pytest.fixture
def grocery(tmp_path: Path) -> Path:
    folder = tmp_path / "grocery"
    texts = folder / "texts"
    texts.mkdir(parents=True)
    (texts / "a.txt").write_text("A sweet apple.\n")
    (folder / "classes.csv").write_text(
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
        "Iconic Image Path (str),Product Description Path (str)\n"
        "Golden-Delicious,0,Apple,0,/i/a.jpg,/texts/a.txt\n"
        "Oatly-Oat-Milk,1,Oat-Milk,1,/i/b.jpg,/texts/none.txt\n"
    )
    lines = {"train": (30, 20), "val": (2, 0), "test": (3, 3)}
    for split, (apples, milks) in lines.items():
        text = "".join(f"{split}/Fruit/Apple/{n}.jpg, 0, 0\n" for n in range(apples))
        text += "".join(f"{split}/Packages/Oat-Milk/{n}.jpg, 1, 1\n" for n in range(milks))
        (folder / f"{split}.txt").write_text(text)
    image = folder / "test" / "Fruit" / "Apple" / "0.jpg"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(image)
    return folder


def test_grocery_store(grocery: Path, tmp_path: Path) -> None:
    folder = prepare_card(
        small("grocery-store", train=50, val=2, test=6), tmp_path / "out", source=grocery
    )
    rows = rows_of(folder, "test")
    assert rows[0] == {
        "id": "test/Fruit/Apple/0.jpg",
        "image": "test/Fruit/Apple/0.jpg",
        "fine": "Golden Delicious",
        "coarse": "Apple",
        "department": "fruit",
        "description": "A sweet apple.",
        "split": "test",
    }
    assert (rows[5]["fine"], rows[5]["coarse"], rows[5]["description"]) == (
        "Oatly Oat Milk", "Oat Milk", None,
    )  # fmt: skip


def test_grocery_store_lt(grocery: Path, tmp_path: Path) -> None:
    # Two classes: the larger keeps all 30, the other max(2, round(20 / 15)) = 2 of 20.
    card = small("grocery-store-lt", train=32, val=2, test=6)
    rows = rows_of(prepare_card(card, tmp_path / "out", source=grocery), "train")
    fine = [row["fine"] for row in rows]
    assert [fine.count(name) for name in ("Golden Delicious", "Oatly Oat Milk")] == [30, 2]


def test_a_list_with_a_broken_line_is_named(grocery: Path, tmp_path: Path) -> None:
    (grocery / "val.txt").write_text("val/Fruit/Apple/0.jpg, 0, 0\nval/x.jpg, 7, 0\n")
    with pytest.raises(JobFailed, match=r"val\.txt, line 2"):
        prepare_card(small("grocery-store", train=50, val=2), tmp_path / "out", source=grocery)


def test_cifar(tmp_path: Path) -> None:
    folder = tmp_path / "cifar"
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("".join(f"fine_{n}\n" for n in range(100)))
    (folder / "coarse_label_names.txt").write_text("".join(f"coarse {n}\n" for n in range(20)))
    red = np.zeros((3, 32, 32), np.uint8)
    red[0] = 255
    record = bytes((19, 99)) + red.tobytes()
    test = record + bytes((0, 5)) + bytes(3072)
    train = b"".join(bytes((0, n)) + bytes(3072) for n in range(100) for _ in range(20))
    (folder / "test.bin").write_bytes(test)
    (folder / "train.bin").write_bytes(train)
    expected = sum(int(20 * 100 ** (-n / 99) + 1e-9) for n in range(100))
    card = small("cifar100-lt", train=expected, test=2)
    out = prepare_card(card, tmp_path / "out", source=folder)
    rows = rows_of(out, "test")
    assert [(row["fine"], row["coarse"]) for row in rows] == [
        ("fine 99", "coarse 19"), ("fine 5", "coarse 0"),
    ]  # fmt: skip
    assert decode_image(rows[0]["image"]).getpixel((31, 31)) == (255, 0, 0)
    (folder / "train.bin").write_bytes(train[:-1])
    with pytest.raises(JobFailed, match="not whole records"):
        prepare_card(card, tmp_path / "again", source=folder)


def test_imagenet_lt(tmp_path: Path) -> None:
    for split, lines in {
        "train": "train/n01440764/a 1.JPEG 0\ntrain/n01443537/b.JPEG 1\n"
        "train/n03773504/c.JPEG 657\ntrain/n04008634/d.JPEG 744\n",
        "val": "train/n01440764/e.JPEG 0\n",
        "test": "val/f.JPEG 1\n",
    }.items():
        (tmp_path / f"ImageNet_LT_{split}.txt").write_text(lines)
    card = small("imagenet-lt", train=4, val=1, test=1)
    out = prepare_card(card, tmp_path / "out", source=tmp_path)
    rows = rows_of(out, "train")
    assert rows[0]["image"] == "train/n01440764/a 1.JPEG"
    assert [row["label"] for row in rows[:2]] == ["tench", "goldfish"]
    # Both are called "missile" in the usual list of names.
    assert [row["label"] for row in rows[2:]] == ["missile (n03773504)", "missile (n04008634)"]
    assert rows_of(out, "test")[0]["label"] == "goldfish"


def test_places_lt(tmp_path: Path) -> None:
    for split, lines in {
        "train": "data_256/a/airfield/1.jpg 0\ndata_256/a/apartment_building/outdoor/2.jpg 1\n",
        "val": "val_256/Places365_val_1.jpg 1\n",
        "test": "val_256/Places365_val_2.jpg 0\n",
    }.items():
        (tmp_path / f"Places_LT_{split}.txt").write_text(lines)
    out = prepare_card(small("places-lt", train=2, val=1, test=1), tmp_path / "o", source=tmp_path)
    assert [row["label"] for row in rows_of(out, "train")] == [
        "airfield", "apartment building outdoor",
    ]  # fmt: skip
    assert rows_of(out, "val")[0]["label"] == "apartment building outdoor"
    (tmp_path / "Places_LT_val.txt").write_text("val_256/x.jpg\n")
    with pytest.raises(JobFailed, match=r"Places_LT_val\.txt, line 1"):
        prepare_card(small("places-lt", val=1), tmp_path / "again", source=tmp_path)


def test_inaturalist(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "train_val2018/Aves/1/x.jpg"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1}],
        "categories": [{"id": 1, "name": "1", "supercategory": "Aves"}],
    }
    for split in ("train", "val"):
        (tmp_path / f"{split}2018.json").write_text(json.dumps(content))
    card = small("inat2018", train=1, val=1)
    rows = rows_of(prepare_card(card, tmp_path / "a", source=tmp_path), "train")
    assert (rows[0]["id"], rows[0]["label"], rows[0]["supercategory"]) == ("7", "1", "Aves")
    names = [{"id": 1, "name": "Turdus merula", "supercategory": "Aves"}]
    (tmp_path / "categories.json").write_text(json.dumps(names))
    rows = rows_of(prepare_card(card, tmp_path / "b", source=tmp_path), "val")
    assert rows[0]["label"] == "Turdus merula"
    (tmp_path / "train2018.json").write_text('{"images": []}')
    with pytest.raises(JobFailed, match="annotations"):
        prepare_card(card, tmp_path / "c", source=tmp_path)


def test_open_clip_art(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (folder / "animals" / "sea_birds").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(folder / "animals" / "sea_birds" / "RedGull_jo_01.png")
    (folder / "animals" / "copy.png").symlink_to("sea_birds/RedGull_jo_01.png")
    out = prepare_card(small("openclipart", train=1), tmp_path / "out", source=folder)
    row = rows_of(out, "train")[0]
    assert (row["caption"], row["department"], row["kind"]) == (
        "red gull jo", "animals", "sea birds",
    )  # fmt: skip


SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="100mm" viewBox="0 0 50 100">
<rect width="50" height="100" fill="#00ff00"/></svg>"""


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    folder = tmp_path / "stamps"

    def draw(path: str, seed: int, caption: str | None = None) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(values).resize((48, 48), Image.Resampling.NEAREST).save(file)
        if caption:
            file.with_suffix(".txt").write_text(caption + "\nde.utf8=Etwas.\n", "utf-8")

    for number, name in enumerate("abcdefghij"):
        draw(f"animals/birds/{name}.png", number, f"Bird {name}.")
    draw("animals/birds/a-1.png", 50)
    draw("animals/birds/a_mirror.png", 0)
    draw("animals/birds/cartoon/twin.png", 1)
    draw("clothes/hat.png", 60)
    draw("hobbies/music/drum.png", 61)
    draw("symbols/music/note.png", 62)
    (folder / "vehicles").mkdir()
    (folder / "vehicles" / "car.svg").write_text(SVG)
    return folder


def test_tux_paint_stamps(stamps: Path, tmp_path: Path) -> None:
    card = load_card("tuxpaint-stamps")
    out = prepare_card(card, tmp_path / "out", source=stamps)
    rows = {row["id"]: row for split in ("train", "val", "test") for row in rows_of(out, split)}
    assert len(rows) == 16
    assert "animals/birds/a_mirror.png" not in rows
    bird = rows["animals/birds/a.png"]
    assert (bird["caption"], bird["department"], bird["kind"], bird["label"], bird["medium"]) == (
        "Bird a.", "animals", "birds", "birds", "photo",
    )  # fmt: skip
    hat = rows["clothes/hat.png"]
    assert (hat["caption"], hat["kind"], hat["label"], hat["medium"]) == (
        None, None, "clothes", "drawing",
    )  # fmt: skip
    assert rows["hobbies/music/drum.png"]["label"] == "music (hobbies)"
    assert rows["symbols/music/note.png"]["label"] == "music (symbols)"
    assert rows["animals/birds/cartoon/twin.png"]["medium"] == "drawing"
    car = decode_image(rows["vehicles/car.svg"]["image"])
    assert car.size == (128, 256)
    assert car.getpixel((100, 100)) == (0, 255, 0)
    # The same subject and the same pixels never part.
    assert rows["animals/birds/a-1.png"]["split"] == bird["split"]
    twin, original = rows["animals/birds/cartoon/twin.png"], rows["animals/birds/b.png"]
    assert (twin["group"], twin["split"]) == (original["group"], original["split"])
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}


def test_paths_of_a_card_are_read_from_its_source(grocery: Path, tmp_path: Path) -> None:
    out = prepare_card(
        small("grocery-store", train=50, val=2, test=6), tmp_path / "out", source=grocery
    )
    table = ParquetTable("g", [out / "test.parquet"], {}, base=grocery)
    item = table.items(next(table.batches()))[0]
    assert decode_image(read_image_bytes(item.image, table.base, ImageLimits())).size == (4, 4)


def test_alike_pictures_are_found_across_sizes() -> None:
    from rac.cards.pictures import alike_groups

    def disc(size: int, where: float) -> Image.Image:
        image = Image.new("RGB", (size, size), "white")
        box = [size * where, size * 0.2, size * (where + 0.4), size * 0.6]
        ImageDraw.Draw(image).ellipse(box, fill="red")
        return image

    pictures = [disc(100, 0.1), disc(240, 0.1), disc(100, 0.5)]
    assert alike_groups(pictures, ["a", "b", "c"]) == [0, 0, 2]
    assert alike_groups(pictures, ["a", "b", "a"]) == [0, 0, 0]
