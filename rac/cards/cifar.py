"""CIFAR-100 from its binary version (the Python version is a pickle, which could run anything)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import CifarRecipe
from rac.cards.pictures import png_of
from rac.cards.sampling import exponential_counts, members_of, thin_out
from rac.errors import JobFailed

_SIDE = 32
_RECORD = 2 + 3 * _SIDE * _SIDE


def build_cifar(recipe: CifarRecipe, folder: Path) -> Built:
    """Read ``train.bin`` and ``test.bin``: coarse class, fine class, then 32 x 32 RGB planes.

    With ``imbalance``, fine class i of the training keeps an exponential profile of its images,
    by class number, as Cao et al. (LDAM, NeurIPS 2019) do.

    Raises:
        JobFailed: a file is missing or has a broken length.
    """
    return Built(
        fields={
            "id": pa.string(),
            "image": pa.binary(),
            "fine": pa.string(),
            "coarse": pa.string(),
        },
        splits={split: partial(_rows, recipe, folder, split) for split in ("train", "test")},
    )


def _rows(recipe: CifarRecipe, folder: Path, split: str) -> Iterator[dict[str, Any]]:
    fine_names = _names(folder / "fine_label_names.txt")
    coarse_names = _names(folder / "coarse_label_names.txt")
    path = folder / f"{split}.bin"
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise JobFailed(f"{path}: {error.strerror}") from error
    if data.size == 0 or data.size % _RECORD:
        raise JobFailed(f"{path}: {data.size:,} bytes are not whole records of {_RECORD:,}")
    records = data.reshape(-1, _RECORD)
    if records[:, 1].max() >= len(fine_names) or records[:, 0].max() >= len(coarse_names):
        raise JobFailed(f"{path}: a class number without a name")
    kept = list(range(len(records)))
    if recipe.imbalance is not None and split == "train":
        members = members_of([int(number) for number in records[:, 1]])
        sizes = exponential_counts(
            min(len(rows) for rows in members.values()), len(fine_names), recipe.imbalance
        )
        kept = thin_out(members, dict(enumerate(sizes)), recipe.seed)
    for row in kept:
        pixels = records[row, 2:].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
        yield {
            "id": f"{split}-{row:05d}",
            "image": png_of(np.ascontiguousarray(pixels)),
            "fine": fine_names[records[row, 1]],
            "coarse": coarse_names[records[row, 0]],
        }


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise JobFailed(f"{path}: {error.strerror}") from error
    return [line.strip().replace("_", " ") for line in lines if line.strip()]
