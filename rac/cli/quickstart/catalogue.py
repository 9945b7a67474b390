"""The quickstart's catalogue: pictures in a folder, a table of them, and the table with holes."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rac.errors import InputError
from rac.images import BadImage, ImageLimits, read_image_bytes
from rac.masking import mask_cells
from rac.tables import Table, open_table
from retrieval_index.files import replace_file

SPLITS = ("train", "val", "test")
_SPLIT_SHARES = (0.6, 0.1, 0.3)
_MARK = ".quickstart"
"""A file in a catalogue's folder that says whose its pictures are."""


@dataclass(frozen=True)
class Source:
    """Where a catalogue comes from.

    Attributes:
        table: what :func:`rac.tables.open_table` takes; ``{split}`` in it stands for each split.
        title: for people.
        id: column of the ids; None where rows are numbered.
        caption: column of the captions.
        label: column of the classes that the classifier learns.
        attributes: columns to blank and fill.
        templates: for each attribute the prompts that its values go into.
        rows: take at most so many, from the start; None for all.
    """

    table: str
    title: str
    id: str | None
    caption: str
    label: str
    attributes: tuple[str, ...]
    templates: Mapping[str, tuple[str, ...]]
    rows: int | None = None


STAMPS = Source(
    table="tuxpaint-stamps:{split}",
    title="Tux Paint stamps",
    id="id",
    caption="caption",
    label="label",
    attributes=("department", "kind", "medium"),
    templates={
        "department": ("a picture of {}.", "something to do with {}.", "{}."),
        "kind": ("a picture of {}.", "a photo of {}.", "a drawing of {}.", "{}."),
        "medium": ("a {} of an object.", "a {}."),
    },
)
FASHION = Source(
    table="hub:ashraq/fashion-product-images-small:train",
    title="fashion products",
    id="id",
    caption="productDisplayName",
    label="articleType",
    attributes=("masterCategory", "subCategory", "baseColour"),
    templates={
        "masterCategory": ("a photo of {}.", "a product photo of {}.", "{}."),
        "subCategory": ("a photo of {}.", "a product photo of {}.", "{}."),
        "baseColour": ("a photo of a {} product.", "something {}.", "{}."),
    },
    rows=2000,
)


@dataclass(frozen=True)
class Catalogue:
    """A catalogue on disk, and what was hidden in it.

    Attributes:
        truth: the table with every cell as the source has it, and the class of each row (CSV).
        blanked: the table with cells blanked and without the classes: what the fill gets.
        folder: where the image paths of both start.
        ids: N ids.
        splits: N of :data:`SPLITS`.
        labels: N classes; None where the source has none.
        cells: for each attribute its N true cells; None where the source has none.
        hidden: for each attribute the rows that were blanked.
    """

    truth: Path
    blanked: Path
    folder: Path
    ids: list[str]
    splits: list[str]
    labels: list[str | None]
    cells: dict[str, list[str | None]]
    hidden: dict[str, list[int]]


@dataclass(frozen=True)
class _Row:
    id: str
    image: str
    caption: str
    split: str
    label: str | None
    values: tuple[str | None, ...]


def choose_source(stamps: Path = Path("/usr/share/tuxpaint/stamps")) -> Source:
    """Take the Tux Paint stamps where they are installed, and a public hub's data otherwise."""
    return STAMPS if stamps.is_dir() else FASHION


def write_catalogue(source: Source, folder: Path, *, blank: float, seed: int) -> Catalogue:
    """Write pictures, table and blanked table; what an earlier run left in the folder goes.

    Args:
        source: where rows come from.
        folder: to write; nothing in it but an earlier catalogue is touched.
        blank: share of each attribute's known cells to blank, in [0, 1].
        seed: of the blanks, and of the splits where the source has none.

    Raises:
        InputError: the source cannot be read or has no rows, or the folder holds pictures of
            somebody else's.
    """
    images = folder / "images"
    mark = folder / _MARK
    if os.path.lexists(images):
        if images.is_symlink() or not mark.is_file():
            raise InputError(
                f"{images} is there already and was not made by a quickstart; give another --out"
            )
        shutil.rmtree(images)
    # The mark comes first: pictures without one are somebody else's.
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    images.mkdir()
    rows = list(_rows(source, images, seed))
    if not rows:
        raise InputError(f"{source.table} has no rows")
    cells = {
        name: [row.values[place] for row in rows] for place, name in enumerate(source.attributes)
    }
    blanked, hidden = mask_cells(cells, blank, seed)
    labels = [row.label for row in rows]
    _write_csv(folder / "catalogue.csv", rows, {**cells, "label": labels})
    _write_csv(folder / "blanked.csv", rows, blanked)
    return Catalogue(
        truth=folder / "catalogue.csv",
        blanked=folder / "blanked.csv",
        folder=folder,
        ids=[row.id for row in rows],
        splits=[row.split for row in rows],
        labels=labels,
        cells=cells,
        hidden=hidden,
    )


def _rows(source: Source, images: Path, seed: int) -> Iterator[_Row]:
    """Yield rows, each picture copied into the folder as it is: a bad one stays a bad one."""
    number = 0
    draw = np.random.default_rng(seed)
    for split, table in _tables(source):
        for cells, data in islice(_cells(table, source), source.rows):
            name = f"{number:06d}{_suffix(data)}"
            (images / name).write_bytes(data)
            yield _Row(
                id=cells[0] or str(number),
                image=f"images/{name}",
                caption=cells[1] or "",
                split=split or str(draw.choice(SPLITS, p=_SPLIT_SHARES)),
                label=cells[2] or None,
                values=tuple(cell or None for cell in cells[3:]),
            )
            number += 1


def _tables(source: Source) -> Iterator[tuple[str | None, Table]]:
    if "{split}" not in source.table:
        yield None, open_table(source.table, id=source.id, text=source.caption)
        return
    for split in SPLITS:
        name = source.table.replace("{split}", split)
        yield split, open_table(name, id=source.id, text=source.caption)


def _cells(table: Table, source: Source) -> Iterator[tuple[list[str | None], bytes]]:
    wanted = (source.id, source.caption, source.label, *source.attributes)
    for batch in table.batches():
        columns = [
            [None] * batch.num_rows if name is None else table.strings(batch, name)
            for name in wanted
        ]
        for place, item in enumerate(table.items(batch)):
            try:
                data = read_image_bytes(item.image, table.base, ImageLimits())
            except BadImage:
                data = b""
            yield [column[place] for column in columns], data


def _suffix(data: bytes) -> str:
    """Name a picture by what its first bytes say it is."""
    if data.startswith(b"\x89PNG"):
        return ".png"
    return ".jpg" if data.startswith(b"\xff\xd8") else ".img"


def _write_csv(path: Path, rows: Sequence[_Row], cells: Mapping[str, Sequence[str | None]]) -> None:
    with replace_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["id", "image", "caption", *cells, "split"])
        for number, row in enumerate(rows):
            values = [column[number] or "" for column in cells.values()]
            writer.writerow([row.id, row.image, row.caption, *values, row.split])
