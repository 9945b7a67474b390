"""Zero-shot classification on toy images, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rac.errors import InputError
from rac.tables import open_table
from rac.zero_shot_classification import classify_zero_shot
from tests.toy import ToyEncoder, write_toy_images


def test_colours_are_found_by_their_names(tmp_path: Path) -> None:
    names = write_toy_images(tmp_path, ["red", "blue", "green", "red"])
    (tmp_path / "bad.png").write_text("no image")
    labels = ["red", "blue", "green", "", "blue"]
    lines = [f"{n},{label}" for n, label in zip([*names, "bad.png"], labels, strict=True)]
    (tmp_path / "items.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    found = classify_zero_shot(open_table(tmp_path / "items.csv"), ToyEncoder(), progress=False)
    assert found.classes == ["blue", "green", "red"]
    assert found.labels == ["red", "blue", "green"]
    assert found.predicted.tolist() == found.truth.tolist() == [2, 0, 1]
    assert (found.left_out, found.bad_images) == (1, 1)
    np.testing.assert_allclose(found.scores.sum(axis=1), 1.0, atol=1e-5)


def test_images_may_be_judged_each_by_itself(tmp_path: Path) -> None:
    names = write_toy_images(tmp_path, ["red", "blue"])
    (tmp_path / "items.csv").write_text(f"image,label\n{names[0]},red\n{names[1]},blue\n")
    table = open_table(tmp_path / "items.csv")
    found = classify_zero_shot(table, ToyEncoder(), together=False, progress=False)
    np.testing.assert_array_equal(found.scores, found.cosines)
    assert found.cosines.max() > 0.9


def test_a_table_without_labels_is_told(tmp_path: Path) -> None:
    names = write_toy_images(tmp_path, ["red"])
    (tmp_path / "items.csv").write_text(f"image,size\n{names[0]},3\n")
    with pytest.raises(InputError, match="image, size"):
        classify_zero_shot(open_table(tmp_path / "items.csv"), ToyEncoder(), progress=False)
