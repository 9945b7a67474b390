from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rac.images import ImageLimits
from rac.tables import Item, open_table
from tests.toy import COLOURS, toy_image
from tests.training.finetune.conftest import write_table
from training.finetune.store import shrink, store_images


def items_of(path: Path) -> list[Item]:
    table = open_table(str(path))
    return [item for cells in table.batches() for item in table.items(cells)]


def test_images_come_back_in_order_and_bad_ones_are_named(tmp_path: Path) -> None:
    colours = ["red", "green", "blue"] * 30
    path = write_table(tmp_path, "many", colours, broken=True)
    store, reasons = store_images(
        items_of(path), tmp_path, tmp_path / "images.bin", partial(shrink, side=16), target=16
    )
    assert len(store) == 90
    assert [row for row, reason in enumerate(reasons) if reason] == [1]
    assert "not-an-image" in (reasons[1] or "")
    for row in (0, 1, 45, 89):
        pixels = store.read(row)
        assert pixels.shape == (16, 19, 3)
        near = np.abs(pixels.mean(axis=(0, 1)) - np.array(COLOURS[colours[row]]))
        assert near.max() < 12


def test_what_is_kept_is_near_to_the_picture(tmp_path: Path) -> None:
    path = write_table(tmp_path, "one", ["red"])
    store, _ = store_images(
        items_of(path), tmp_path, tmp_path / "images.bin", partial(shrink, side=99), target=99
    )
    difference = store.read(0).astype(int) - np.asarray(toy_image("red", seed=0)).astype(int)
    # The noise of a toy image is the worst that a JPEG can be given.
    assert np.abs(difference).mean() < 5


def test_limits_are_heard(tmp_path: Path) -> None:
    path = write_table(tmp_path, "one", ["red"])
    store, reasons = store_images(
        items_of(path),
        tmp_path,
        tmp_path / "images.bin",
        partial(shrink, side=16),
        target=16,
        limits=ImageLimits(max_pixels=100),
    )
    assert len(store) == 0
    assert "too-many-pixels" in (reasons[0] or "")


def test_another_process_gets_the_file_and_not_its_pages(tmp_path: Path) -> None:
    path = write_table(tmp_path, "one", ["red"] * 4)
    store, _ = store_images(
        items_of(path), tmp_path, tmp_path / "images.bin", partial(shrink, side=16), target=16
    )
    before = store.read(2)
    sent = pickle.dumps(store)
    assert len(sent) < 1500
    np.testing.assert_array_equal(pickle.loads(sent).read(2), before)  # noqa: S301


def test_a_store_that_is_not_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_table(tmp_path, "one", ["red"] * 4)

    def fail(_: object) -> None:
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        store_images(items_of(path), tmp_path, tmp_path / "images.bin", fail, target=16)
    assert not list(tmp_path.glob("*images*"))
