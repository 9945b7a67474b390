"""Open Clip Art: drawings whose paths say what they show; a source to train on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import OpenClipartRecipe


def build_openclipart(recipe: OpenClipartRecipe, folder: Path) -> Built:
    """List the PNG files below a folder; symbolic links, which are copies, are left out."""
    text = pa.string()
    return Built(
        fields={"id": text, "image": text, "caption": text, "department": text, "kind": text},
        splits={"train": partial(_rows, folder)},
        base=folder,
    )


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(where) / name
            if file.suffix.lower() != ".png" or file.is_symlink():
                continue
            path = file.relative_to(folder)
            above = path.parts[:-1]
            yield {
                "id": path.as_posix(),
                "image": path.as_posix(),
                "caption": caption_of(file.stem),
                "department": _words(above[0]) if above else None,
                "kind": _words(above[1]) if len(above) > 1 else None,
            }


def caption_of(stem: str) -> str | None:
    """Read a file's name as words; numbers and single letters (authors' initials) go.

    >>> caption_of("arrow-up-red_benji_park_01")
    'arrow up red benji park'
    """
    words = re.split(r"[^A-Za-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem))
    return " ".join(word.lower() for word in words if len(word) > 1) or None


def _words(folder: str) -> str:
    return folder.replace("_", " ").lower()
