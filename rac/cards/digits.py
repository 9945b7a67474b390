"""The handwritten digits that scikit-learn brings along: a data set that is always there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import DigitsRecipe
from rac.cards.pictures import png_of
from rac.cards.sampling import grouped_split, members_of

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def build_digits(recipe: DigitsRecipe, folder: Path) -> Built:
    """Turn the 8 x 8 digits (0 paper, 16 ink) into PNG, black on white."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = [_WORDS[number] for number in digits.target]
    split = grouped_split(labels, list(range(len(labels))), recipe.seed)

    def row(number: int) -> dict[str, Any]:
        ink = digits.images[number]
        pixels = np.round(255 - ink * (255 / 16)).astype(np.uint8)
        return {"id": f"{number:04d}", "image": png_of(pixels), "label": labels[number]}

    rows = {name: [row(number) for number in where] for name, where in members_of(split).items()}
    return Built(
        fields={"id": pa.string(), "image": pa.binary(), "label": pa.string()},
        splits={name: (lambda name=name: rows[name]) for name in ("train", "val", "test")},  # type: ignore[misc]
    )
