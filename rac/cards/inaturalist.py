"""iNaturalist 2018, from its annotation files in the COCO format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.cards.built import Built
from rac.cards.card import INaturalistRecipe
from rac.errors import JobFailed


def build_inaturalist(recipe: INaturalistRecipe, folder: Path) -> Built:
    """Read images, annotations and categories; the images stay where they are.

    Names come from ``categories.json`` where it lies beside (in 2018 the annotation files hold
    only numbers), else from the annotation file itself.

    Raises:
        JobFailed: a file is missing or not of that format.
    """
    text = pa.string()
    return Built(
        fields={"id": text, "image": text, "label": text, "supercategory": text},
        splits={split: partial(_rows, recipe, folder, split) for split in recipe.annotations},
        base=folder,
    )


def _rows(recipe: INaturalistRecipe, folder: Path, split: str) -> Iterator[dict[str, Any]]:
    path = folder / recipe.annotations[split]
    content = _json(path)
    try:
        named = folder / "categories.json"
        categories = _json(named) if named.is_file() else content["categories"]
        shared = Counter(str(entry["name"]) for entry in categories)
        names = {
            entry["id"]: f"{entry['name']} ({entry['id']})"
            if shared[str(entry["name"])] > 1
            else str(entry["name"])
            for entry in categories
        }
        groups = {entry["id"]: entry.get("supercategory") for entry in categories}
        category = {entry["image_id"]: entry["category_id"] for entry in content["annotations"]}
        for image in content["images"]:
            number = category[image["id"]]
            yield {
                "id": str(image["id"]),
                "image": str(image["file_name"]),
                "label": names[number],
                "supercategory": groups[number],
            }
    except (KeyError, TypeError) as error:
        raise JobFailed(f"{path}: not iNaturalist's format: {error!r} is missing") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise JobFailed(f"{path}: {error}") from error
