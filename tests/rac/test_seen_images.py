from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from eval.image_sets import image_set
from rac.errors import InputError
from rac.seen_images import SeenImages, read_seen_images
from retrieval_index import Memory, make_rows


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


@pytest.mark.parametrize(
    "seen",
    [
        SeenImages(),
        SeenImages(image_set([sha(1), sha(2)], "shop:train"), image_set([])),
        SeenImages(None, image_set([sha(3)])),
    ],
)
def test_written_and_read_again(seen: SeenImages, tmp_path: Path) -> None:
    digest = seen.write(tmp_path / "images.json")
    assert read_seen_images(tmp_path / "images.json", digest) == seen


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    digest = SeenImages().write(path)
    SeenImages(image_set([])).write(path)
    with pytest.raises(InputError, match="vouches for"):
        read_seen_images(path, digest)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_seen_images(path, digest)


def memory(hashes: list[str | None]) -> Memory:
    rows = make_rows([str(row) for row in range(len(hashes))], content_hashes=hashes)
    return Memory.in_ram(np.eye(len(hashes)), rows, encoder="toy")


def test_what_was_added_to_the_memory_since_counts_as_trained_on() -> None:
    """A test row in the memory finds itself, whoever put it there."""
    trained = SeenImages(training=image_set([sha(1), sha(2)], "shop:train"))
    assert trained.training_with(memory([sha(2), sha(9), None])) == image_set(
        [sha(1), sha(2), sha(9)], "shop:train"
    )
    assert SeenImages().training_with(memory([sha(9)])) == image_set([sha(9)])
    assert SeenImages().training_with(memory([None])) is None
