"""Zero-shot classification on toy images, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rac.errors import InputError
from rac.tables import open_table
from rac.zero_shot import centred_scores, classify_zero_shot
from tests.toy import ToyEncoder, write_toy_images


def test_centring_takes_a_hub_off() -> None:
    """Two images, a prompt near both and a prompt near the second only.

    Plainly the hub wins both: 0.9 > 0.1 and 0.9 > 0.6. About the mean image the hub has nothing
    left, and the second prompt tells them apart: 0.1 - 0.35 < 0 < 0.6 - 0.35.
    """
    images = np.array([[0.9, 0.1], [0.9, 0.6]], np.float32)
    prompts = np.eye(2, dtype=np.float32)
    assert centred_scores(images, prompts).argmax(axis=1).tolist() == [0, 0]
    centred = centred_scores(images, prompts, images.mean(axis=0))
    np.testing.assert_allclose(centred, [[0, -0.25], [0, 0.25]], atol=1e-6)
    assert centred.argmax(axis=1).tolist() == [0, 1]


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


def test_a_table_without_labels_is_told(tmp_path: Path) -> None:
    names = write_toy_images(tmp_path, ["red"])
    (tmp_path / "items.csv").write_text(f"image,size\n{names[0]},3\n")
    with pytest.raises(InputError, match="image, size"):
        classify_zero_shot(open_table(tmp_path / "items.csv"), ToyEncoder(), progress=False)
