"""Fashion-MNIST, whole or with a long tail."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import FashionMnistRecipe
from rac.cards.idx import read_idx
from rac.cards.pictures import png_of
from rac.cards.sampling import exponential_counts, members_of, thin_out
from rac.errors import JobFailed

CLASS_NAMES = (
    "t-shirt or top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_FILES = {"train": "train", "test": "t10k"}


def build_fashion_mnist(recipe: FashionMnistRecipe, folder: Path) -> Built:
    """Read the four idx files; with ``imbalance``, keep an exponential profile of the training.

    Raises:
        JobFailed: a file is missing or broken.
    """
    return Built(
        fields={"id": pa.string(), "image": pa.binary(), "label": pa.string()},
        splits={split: partial(_rows, recipe, folder, split) for split in _FILES},
    )


def _rows(recipe: FashionMnistRecipe, folder: Path, split: str) -> Iterator[dict[str, Any]]:
    images = read_idx(_file(folder, f"{_FILES[split]}-images-idx3-ubyte"), 3)
    labels = read_idx(_file(folder, f"{_FILES[split]}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels) or int(labels.max(initial=0)) >= len(CLASS_NAMES):
        raise JobFailed(f"{folder}: images and labels of {split} do not fit each other")
    kept = range(len(labels))
    if recipe.imbalance is not None and split == "train":
        members = members_of([int(label) for label in labels])
        sizes = exponential_counts(
            min(len(rows) for rows in members.values()), len(CLASS_NAMES), recipe.imbalance
        )
        kept = thin_out(members, dict(enumerate(sizes)), recipe.seed)  # type: ignore[assignment]
    for row in kept:
        yield {
            "id": f"{split}-{row:05d}",
            "image": png_of(np.ascontiguousarray(images[row])),
            "label": CLASS_NAMES[labels[row]],
        }


def _file(folder: Path, stem: str) -> Path:
    plain = folder / stem
    return plain if plain.exists() else folder / f"{stem}.gz"
