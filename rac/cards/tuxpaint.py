"""Tux Paint stamps: about a thousand captioned pictures in a tree of subjects."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.cards.built import Built, Rows
from rac.cards.card import TuxPaintRecipe
from rac.cards.pictures import alike_groups, png_of_svg
from rac.cards.sampling import grouped_split
from rac.errors import JobFailed
from rac.images import decode_image

_SVG_SIDE = 256
_STYLE_FOLDERS = frozenset({"cartoon"})
_MIRRORED = re.compile(r"_(mirror|flip)")
_WORDS = {
    "arttools": "art tools",
    "masstransit": "mass transit",
    "naturalforces": "natural forces",
    "newyears": "new year",
    "roadsigns": "road signs",
}

# The tree does not say which PNG files are photos, so a folder's usual answer is written down
# here, with the pictures that differ from it; all were looked at one by one.
_DRAWING_FOLDERS = (
    "clothes/",
    "seasonal/",
    "symbols/",
    "town/flags/",
    "town/roadsigns/",
)
_PHOTOS_IN_DRAWING_FOLDERS = (
    "clothes/clothespin_",
    "seasonal/candle.",
    "seasonal/christmas/Candy_cane_photo_",
    "seasonal/christmas/Christmas_Tree_photo.",
    "seasonal/christmas/Christmas_pudding.",
    "seasonal/christmas/German_Christmas_toy.",
    "seasonal/christmas/Mince_Pie.",
    "seasonal/christmas/Roast_turkey.",
    "seasonal/christmas/xmas_tp_bulb.",
    "seasonal/christmas/xmaswreath.",
    "seasonal/halloween/grave-",
    "symbols/money/canadian/",
    "symbols/money/euro/",
    "symbols/money/japanese/",
    "symbols/money/us/",
    "town/roadsigns/dead_end_sign.",
    "town/roadsigns/no_entry_sign.",
    "town/roadsigns/no_uturn.",
    "town/roadsigns/railroad_crossing.",
    "town/roadsigns/school_sign.",
    "town/roadsigns/traffic_cone.",
)
_DRAWINGS_IN_PHOTO_FOLDERS = (
    "animals/insects/bee.",
    "animals/mammals/echidna.",
    "animals/mammals/hedgehog.",
    "food/pizza.",
    "household/arttools/highlighter.",
    "medical/tooth.",
    "naturalforces/lightningbolt.",
    "people/body_parts/eye.",
    "space/planets/0_sun.",
    "town/monuments/inukshuk-outline.",
)


@dataclass(frozen=True)
class _Stamp:
    path: str
    image: bytes
    caption: str | None
    department: str
    kind: str | None


def build_tuxpaint(recipe: TuxPaintRecipe, folder: Path) -> Built:
    """Read the stamp tree.

    Args:
        recipe: holds the seed of the split.
        folder: the folder ``stamps`` of the Debian package.

    Raises:
        JobFailed: the folder holds no stamps.
    """
    stamps = list(_stamps(folder))
    if not stamps:
        raise JobFailed(f"no stamps in {folder}")
    labels = _labels(stamps)
    groups = alike_groups(
        [decode_image(stamp.image) for stamp in stamps], [_family(stamp.path) for stamp in stamps]
    )
    split = grouped_split(labels, groups, recipe.seed)
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for stamp, label, group, name in zip(stamps, labels, groups, split, strict=True):
        rows[name].append(
            {
                "id": stamp.path,
                "image": stamp.image,
                "caption": stamp.caption,
                "label": label,
                "department": stamp.department,
                "kind": stamp.kind,
                "medium": medium_of(stamp.path),
                "group": stamps[group].path,
            }
        )

    def start(name: str) -> Rows:
        return rows[name]

    text = pa.string()
    return Built(
        fields={
            "id": text,
            "image": pa.binary(),
            "caption": text,
            "label": text,
            "department": text,
            "kind": text,
            "medium": text,
            "group": text,
        },
        splits={name: lambda name=name: start(name) for name in rows},  # type: ignore[misc]
    )


def medium_of(path: str) -> str:
    """Say whether a stamp is a ``photo`` or a ``drawing``, from its path in the tree.

    >>> medium_of("animals/birds/duck.png"), medium_of("animals/birds/cartoon/tux.png")
    ('photo', 'drawing')
    """
    if path.endswith(".svg") or not _STYLE_FOLDERS.isdisjoint(path.split("/")):
        return "drawing"
    if path.startswith(_PHOTOS_IN_DRAWING_FOLDERS):
        return "photo"
    if path.startswith(_DRAWINGS_IN_PHOTO_FOLDERS) or path.startswith(_DRAWING_FOLDERS):
        return "drawing"
    return "drawing" if path.startswith("cartoon/") else "photo"


def _stamps(folder: Path) -> Iterator[_Stamp]:
    found = [*folder.rglob("*.png"), *folder.rglob("*.svg")]
    for file in sorted(found, key=lambda file: file.relative_to(folder).as_posix()):
        path = file.relative_to(folder)
        if _MIRRORED.search(file.stem) or len(path.parts) < 2:
            continue
        below = [part for part in path.parts[1:-1] if part not in _STYLE_FOLDERS]
        yield _Stamp(
            path=path.as_posix(),
            image=png_of_svg(file, _SVG_SIDE) if file.suffix == ".svg" else file.read_bytes(),
            caption=_caption(file.with_suffix(".txt")),
            department=_words(path.parts[0]),
            kind=_words(below[0]) if below else None,
        )


def _caption(file: Path) -> str | None:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    return (lines[0].strip() if lines else "") or None


def _words(folder: str) -> str:
    return _WORDS.get(folder, folder.replace("_", " "))


def _labels(stamps: list[_Stamp]) -> list[str]:
    """Name the classes by kind; a kind of several departments says which one is meant."""
    departments: dict[str, set[str]] = defaultdict(set)
    for stamp in stamps:
        departments[stamp.kind or stamp.department].add(stamp.department)
    labels = []
    for stamp in stamps:
        name = stamp.kind or stamp.department
        shared = len(departments[name]) > 1 and name != stamp.department
        labels.append(f"{name} ({stamp.department})" if shared else name)
    return labels


def _family(path: str) -> str:
    """Name what is one subject: frog and frog-1, apple.png and apple.svg."""
    stem = path.rpartition(".")[0]
    return re.sub(r"(?<=[^/\d])[-_ ]?\d+$", "", stem)
