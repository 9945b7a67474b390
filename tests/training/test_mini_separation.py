"""The embedded encoder's training pictures and the evaluation images are kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from training.mini.scenebank import thumbnail_of
from training.mini.separation import (
    EVALUATION_FOLDERS,
    Fingerprints,
    evaluation_images,
    fingerprint,
    near_duplicates,
    on_white,
)


class CoarsePixels:
    """Stands in for the trunk: features are the picture's own 16 x 16 colours."""

    def stream(self, images: list[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.float32]]:
        small = [np.asarray(Image.fromarray(image).resize((16, 16))).ravel() for image in images]
        return [255.0 - np.stack(small).astype(np.float32)]


def drawing(kind: str, size: int = 200, colour: str = "darkred") -> Image.Image:
    """A small drawing on transparent ground."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    third = size // 3
    if kind == "house":
        pen.rectangle((third, third, size - 10, size - 10), fill=colour)
        pen.polygon([(third, third), (size - 10, third), (2 * third, 5)], fill="black")
    elif kind == "ball":
        pen.ellipse((10, 10, size - 10, size - 10), fill=colour)
        pen.ellipse((third, third, 2 * third, 2 * third), fill="white")
    else:
        pen.rectangle((10, size // 2 - 8, size - 10, size // 2 + 8), fill=colour)
        pen.line((10, 10, size - 10, size - 10), fill="black", width=6)
    return image


def prints(*pictures: Image.Image) -> Fingerprints:
    return fingerprint(pictures, CoarsePixels())


def test_a_planted_copy_is_found_and_others_are_not() -> None:
    evaluation = prints(drawing("house"))
    ours = prints(drawing("house"), drawing("ball"), drawing("bar"))
    assert near_duplicates(ours, evaluation).tolist() == [True, False, False]


def test_a_copy_is_found_when_resized_padded_recompressed_or_on_white() -> None:
    evaluation = prints(drawing("house"))
    small = drawing("house", 120)
    padded = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    padded.paste(drawing("house"), (130, 40))
    white = Image.new("RGB", (260, 260), (255, 255, 255))
    white.paste(drawing("house"), (20, 30), drawing("house"))
    found = near_duplicates(prints(small, padded, white), evaluation)
    assert found.tolist() == [True, True, True]


def test_alike_in_grey_alone_is_not_a_duplicate() -> None:
    """Guards against dropping every round fruit because one round fruit is evaluated."""
    evaluation = prints(drawing("ball"))
    ours = prints(drawing("ball"))
    other = Fingerprints(ours.digests, ours.thumbnails, np.roll(ours.features, 300, axis=1))
    assert near_duplicates(ours, evaluation).tolist() == [True]
    assert near_duplicates(other, evaluation).tolist() == [False]


def test_thumbnails_look_at_the_thing_only() -> None:
    near = thumbnail_of(drawing("house", 100)).astype(int)
    far = thumbnail_of(drawing("house", 300)).astype(int)
    assert near.shape == (256,)
    assert np.abs(near - far).mean() < 10
    assert on_white(drawing("bar")).shape == (224, 224, 3)


def test_no_training_source_reads_an_evaluation_folder() -> None:
    from training.mini import packages, pictures, scenes

    read = [pictures.OPENCLIPART, pictures.PICTURE_DICTIONARY, pictures.GCOMPRIS]
    read.append(scenes.BACKGROUND_FOLDER)
    for folder in EVALUATION_FOLDERS:
        assert not any(source.is_relative_to(folder) for source in read)
        assert not any(folder.is_relative_to(source) for source in read)
    assert not any("tuxpaint" in name or "fashion" in name for name in packages.DEBIAN_PACKAGES)


def test_real_evaluation_images_are_recognised_when_planted() -> None:
    paths = list(evaluation_images())[:40]
    if not paths:
        pytest.skip("no evaluation folder here: install Debian's tuxpaint-stamps-default")
    theirs = [Image.open(path).convert("RGBA") for path in paths]
    planted = [picture.resize((picture.width // 2, picture.height // 2)) for picture in theirs[:5]]
    found = near_duplicates(prints(*planted, drawing("house")), prints(*theirs))
    assert found.tolist() == [True] * 5 + [False]


def test_files_are_recognised_by_their_bytes(tmp_path: Path) -> None:
    from training.mini.separation import digest

    one, two = tmp_path / "one.png", tmp_path / "two.png"
    drawing("ball").save(one)
    two.write_bytes(one.read_bytes())
    assert digest(one) == digest(two)
