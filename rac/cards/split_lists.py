"""Data sets given as text files of ``path label`` lines: ImageNet-LT and Places-LT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import SplitListsRecipe
from rac.errors import JobFailed


def build_split_lists(recipe: SplitListsRecipe, folder: Path) -> Built:
    """Read the official lists; the images stay where they are.

    Raises:
        JobFailed: a list is missing or a line is no path and class number.
    """
    text = pa.string()
    return Built(
        fields={"id": text, "image": text, "label": text},
        splits={split: partial(_rows, recipe, folder, split) for split in recipe.lists},
        base=folder,
    )


def _rows(recipe: SplitListsRecipe, folder: Path, split: str) -> Iterator[dict[str, Any]]:
    names = _class_names(recipe, folder)
    for line, (path, number) in enumerate(_lines(folder / recipe.lists[split]), start=1):
        if number not in names:
            raise JobFailed(f"{recipe.lists[split]}, line {line}: class {number} has no name")
        yield {"id": path, "image": path, "label": names[number]}


def _lines(file: Path) -> Iterator[tuple[str, int]]:
    try:
        with open(file, encoding="utf-8") as handle:
            for line, text in enumerate(handle, start=1):
                if not text.strip():
                    continue
                path, _, number = text.strip().rpartition(" ")
                if not path or not number.isdecimal():
                    raise JobFailed(f"{file}, line {line}: not 'path label'")
                yield path.strip(), int(number)
    except (OSError, UnicodeDecodeError) as error:
        raise JobFailed(f"{file}: {error}") from error


def _class_names(recipe: SplitListsRecipe, folder: Path) -> dict[int, str]:
    folders: dict[int, str] = {}
    for path, number in _lines(folder / recipe.lists["train"]):
        folders.setdefault(number, _folder_name(path))
    names = dict(folders)
    if recipe.class_names == "imagenet":
        from open_clip import IMAGENET_CLASSNAMES

        if max(folders, default=0) >= len(IMAGENET_CLASSNAMES):
            raise JobFailed(f"{folder}: class {max(folders)} is not one of ImageNet's 1,000")
        names = dict(enumerate(IMAGENET_CLASSNAMES))
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    # Two of ImageNet's names stand for two classes each; the folder tells them apart.
    return {
        number: f"{name} ({folders.get(number, number)})" if name in shared else name
        for number, name in names.items()
    }


def _folder_name(path: str) -> str:
    """Give the class's folder: the parts between the data set's top folder and the file.

    >>> _folder_name("train/n01440764/1.JPEG"), _folder_name("data_256/a/art_gallery/indoor/1.jpg")
    ('n01440764', 'art gallery indoor')
    """
    parts = [part for part in path.split("/")[1:-1] if len(part) > 1]
    return " ".join(parts).replace("_", " ") or path
