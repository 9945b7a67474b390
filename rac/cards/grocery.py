"""The Grocery Store data set, whole or with a long tail."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import GroceryRecipe
from rac.cards.sampling import members_of, thin_out
from rac.errors import JobFailed

_FEWEST = 2


@dataclass(frozen=True)
class _Product:
    fine: str
    coarse: str
    description: str | None


def build_grocery(recipe: GroceryRecipe, folder: Path) -> Built:
    """Read the authors' lists of images and the table of classes.

    With ``tail``, class r of C (by training images, most first; ties by class number) keeps
    ``max(2, round(n * tail ** (r / (C - 1))))`` of its n training images, drawn with the seed.

    Raises:
        JobFailed: a list or the table of classes is broken.
    """
    text = pa.string()
    return Built(
        fields={
            "id": text,
            "image": text,
            "fine": text,
            "coarse": text,
            "department": text,
            "description": text,
        },
        splits={split: partial(_rows, recipe, folder, split) for split in ("train", "val", "test")},
        base=folder,
    )


def _rows(recipe: GroceryRecipe, folder: Path, split: str) -> Iterator[dict[str, Any]]:
    products = _products(folder)
    listed = _listed(folder / f"{split}.txt", products)
    if recipe.tail is not None and split == "train":
        members = members_of([number for _, number in listed])
        order = sorted(members, key=lambda number: (-len(members[number]), number))
        last = max(1, len(order) - 1)
        counts = {
            number: max(_FEWEST, round(len(members[number]) * recipe.tail ** (place / last)))
            for place, number in enumerate(order)
        }
        listed = [listed[row] for row in thin_out(members, counts, recipe.seed)]
    for path, number in listed:
        product = products[number]
        yield {
            "id": path,
            "image": path,
            "fine": product.fine,
            "coarse": product.coarse,
            "department": path.split("/")[1].lower(),
            "description": product.description,
        }


def _listed(path: Path, products: dict[int, _Product]) -> list[tuple[str, int]]:
    """Read lines of ``path, fine class, coarse class``."""
    rows = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise JobFailed(f"{path}: {error.strerror}") from error
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != 3 or not cells[1].isdecimal() or int(cells[1]) not in products:
            raise JobFailed(f"{path}, line {line}: not 'path, fine class, coarse class'")
        rows.append((cells[0], int(cells[1])))
    return rows


def _products(folder: Path) -> dict[int, _Product]:
    path = folder / "classes.csv"
    products = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle)
            next(reader, None)
            for cells in reader:
                if len(cells) < 6:
                    continue
                about = folder / cells[5].lstrip("/")
                description = about.read_text("utf-8", "replace").strip() if about.is_file() else ""
                products[int(cells[1])] = _Product(
                    cells[0].replace("-", " "), cells[2].replace("-", " "), description or None
                )
    except (OSError, ValueError) as error:
        raise JobFailed(f"{path}: {error}") from error
    return products
