"""Saved data sets and the hub, the latter through a stand-in on the disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from PIL import Image

from rac.errors import InputError, JobFailed
from rac.images import decode_image, read_image_bytes
from rac.tables import open_table, write_like

datasets.disable_progress_bars()


def shop() -> Dataset:
    pictures = []
    for colour in ("red", "lime", "blue"):
        stream = io.BytesIO()
        Image.new("RGB", (4, 4), colour).save(stream, "PNG")
        pictures.append({"bytes": stream.getvalue(), "path": f"{colour}.png"})
    return Dataset.from_dict(
        {"photo": pictures, "label": [0, 1, -1], "note": ["a", None, "c"]},
        features=Features(
            {
                "photo": datasets.Image(),
                "label": ClassLabel(names=["shirt", "shoe"]),
                "note": Value("string"),
            }
        ),
    )


def test_a_saved_folder(tmp_path: Path) -> None:
    shop().save_to_disk(str(tmp_path / "shop"))
    table = open_table(tmp_path / "shop")
    assert table.num_rows() == 3
    assert table.roles.image == "photo"
    items = [item for batch in table.batches(2) for item in table.items(batch)]
    assert [item.label for item in items] == ["shirt", "shoe", None]
    image = decode_image(read_image_bytes(items[1].image, table.base))
    assert image.getpixel((0, 0)) == (0, 255, 0)


def test_a_shuffled_folder_is_read_in_its_order(tmp_path: Path) -> None:
    """A data set can be a list of row numbers over a table; the table alone is the wrong order."""
    shop().select([2, 0]).save_to_disk(str(tmp_path / "shop"))
    table = open_table(tmp_path / "shop")
    assert table.strings(next(table.batches()), "note") == ["c", "a"]


def test_written_again_it_loads_with_the_same_features(tmp_path: Path) -> None:
    shop().save_to_disk(str(tmp_path / "shop"))
    table = open_table(tmp_path / "shop")
    batch = table.with_cells(next(table.batches()), "label", {2: "shoe"})
    batch = table.with_cells(batch, "colour", {0: "red"})
    path = write_like(table, tmp_path / "out", "filled", [batch])
    again = datasets.load_from_disk(str(path))
    assert {name: again.features[name] for name in shop().features} == dict(shop().features)
    assert again["label"][:] == [0, 1, 1]
    assert again["colour"][:] == ["red", None, None]
    assert again[0]["photo"].getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(InputError, match="'boot' is none of them"):
        table.with_cells(batch, "label", {0: "boot"})
    # a second time it replaces the first
    assert write_like(table, tmp_path / "out", "filled", table.batches()) == path
    assert datasets.load_from_disk(str(path)).column_names == ["photo", "label", "note"]
    assert [child.name for child in (tmp_path / "out").iterdir()] == ["filled"]


def test_splits_of_a_saved_folder(tmp_path: Path) -> None:
    parts = {"train": shop(), "test": shop().select([0])}
    DatasetDict(parts).save_to_disk(str(tmp_path / "shop"))
    with pytest.raises(InputError, match=r"which split.*train, test"):
        open_table(tmp_path / "shop")
    with pytest.raises(InputError, match=r"no split 'val'.*train, test"):
        open_table(tmp_path / "shop", split="val")
    assert open_table(tmp_path / "shop", split="test").num_rows() == 1


def test_class_names_in_plain_parquet(tmp_path: Path) -> None:
    shop().to_parquet(str(tmp_path / "shop.parquet"))
    table = open_table(tmp_path / "shop.parquet")
    items = table.items(next(table.batches()))
    assert [item.label for item in items] == ["shirt", "shoe", None]
    assert isinstance(items[0].image, bytes)
    path = write_like(table, tmp_path / "out", "x", table.batches())
    assert pq.read_table(path).equals(pq.read_table(tmp_path / "shop.parquet"), check_metadata=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The hub holds ``shop/photos`` with two splits; gives the list of what was asked of it."""
    shop().to_parquet(str(tmp_path / "hub.parquet"))
    asked: list[tuple[Any, ...]] = []
    real = datasets.load_dataset

    def splits(name: str, config: str | None = None) -> list[str]:
        if name == "down/down":
            raise ConnectionError("no network")
        if name != "shop/photos":
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist")
        return ["train", "test"] if config != "small" else ["train"]

    def load(name: str, config: str | None, *, split: str, streaming: bool) -> Any:
        asked.append((name, config, split, streaming))
        files = {split: str(tmp_path / "hub.parquet")}
        return real("parquet", data_files=files, split=split, streaming=streaming)

    monkeypatch.setattr(datasets, "get_dataset_split_names", splits)
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return asked


def test_the_hub_is_streamed(hub: list[tuple[Any, ...]], tmp_path: Path) -> None:
    table = open_table("hub:shop/photos:test")
    assert hub == [("shop/photos", None, "test", True)]
    items = [item for batch in table.batches(2) for item in table.items(batch)]
    assert [item.id for item in items] == ["0", "1", "2"]
    assert [item.label for item in items] == ["shirt", "shoe", None]
    assert decode_image(read_image_bytes(items[2].image, table.base)).getpixel((0, 0)) == (
        0,
        0,
        255,
    )
    path = write_like(table, tmp_path / "out", "x", table.batches())
    assert path.suffix == ".parquet"
    assert open_table(path).num_rows() == 3


def test_splits_and_configurations_of_the_hub(hub: list[tuple[Any, ...]]) -> None:
    open_table("hub:shop/photos", split="train")
    open_table("hub:shop/photos:small:train")
    assert hub == [("shop/photos", None, "train", True), ("shop/photos", "small", "train", True)]
    with pytest.raises(InputError, match=r"which split.*train, test"):
        open_table("hub:shop/photos")
    with pytest.raises(InputError, match="doesn't exist"):
        open_table("hub:no/where:train")
    with pytest.raises(JobFailed, match="cannot be reached"):
        open_table("hub:down/down:train")
    with pytest.raises(InputError, match="write hub:NAME"):
        open_table("hub:")
