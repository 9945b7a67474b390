"""Further views of training images: which rows have them, and what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rac.embedding.views import embed_views, rows_of_small_classes
from rac.encoders.views import VIEWS
from rac.tables import open_table
from tests.toy import ToyEncoder, write_toy_images


def test_only_small_classes_are_looked_at_again() -> None:
    labels = ["a"] * 3 + ["b"] + ["c"] * 2
    assert rows_of_small_classes(labels, 2).tolist() == [3, 4, 5]
    assert rows_of_small_classes(labels, 0).tolist() == []


def test_every_view_of_every_good_image_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    names = write_toy_images(tmp_path, ["red", "green", "blue"])
    (tmp_path / names[2]).write_bytes(b"no image")
    lines = [f"{number},{name}" for number, name in enumerate(names)]
    (tmp_path / "items.csv").write_text("\n".join(["id,image", *lines]) + "\n")
    table = open_table(str(tmp_path / "items.csv"))
    items = [item for batch in table.batches() for item in table.items(batch)]
    encoder = ToyEncoder()
    found = embed_views(items, np.array([1, 2]), table.base, encoder)
    assert found is not None
    features, rows = found
    assert rows.tolist() == [1, 2] * len(VIEWS)
    assert features.ok.tolist() == [True, False] * len(VIEWS)
    assert features.trunk.shape == (2 * len(VIEWS), encoder.trunk_dim)
    assert embed_views(items, np.zeros(0, np.int64), table.base, encoder) is None
