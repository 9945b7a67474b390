"""Cells of a fill run that are worth a person's look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eval.arrays import Bools, Floats
from eval.ledgers import FillRun
from eval.parquet_rows import read_rows
from eval.pictures import Album, StoredImages, open_album
from eval.thumbnails import ImageDecoder, ImageReader, Thumbnail, decode_small

SIDE = 112
_ALTERNATIVES_SHOWN = 3
_DETAILS = ("id", "threshold", "alternatives", "reason")


@dataclass(frozen=True)
class DoubtfulCell:
    """A cell with what was decided and what it rests on; None where something is not known."""

    id: str
    value: str
    filled: bool
    probability: float
    threshold: float | None
    truth: str | None
    alternatives: tuple[tuple[str, float], ...]
    picture: Thumbnail | None


@dataclass(frozen=True)
class DoubtfulSet:
    """Cells of one attribute and one kind. ``total`` counts all cells of it, shown or not."""

    title: str
    explanation: str
    total: int
    cells: tuple[DoubtfulCell, ...]


def pick_doubtful(
    run: FillRun,
    attribute: str,
    read: ImageReader,
    count: int,
    *,
    stored: StoredImages | None = None,
    decode: ImageDecoder = decode_small,
) -> list[DoubtfulSet]:
    """Pick doubtful cells of an attribute; ties in the ledger's order.

    Args:
        run: the fill run.
        attribute: one of its attributes.
        read: gives the bytes of an image reference.
        count: at most this many of each kind; 0 for none.
        stored: gives images that lie in the cells of the run's table.
        decode: makes a picture of an image's bytes.
    """
    cells = run.cells
    mine = (cells.attribute == cells.attributes.index(attribute)) & ~cells.known
    guessed = mine & (cells.best >= 0)
    wrong = guessed & cells.filled & (cells.truth >= 0) & (cells.best != cells.truth)
    kinds: list[tuple[str, str, Bools, Floats]] = [
        (
            "Surest mistakes",
            "Filled with a wrong value, the surest first.",
            wrong,
            -cells.probability,
        ),
        (
            "Just filled",
            "Filled with the least probability.",
            guessed & cells.filled & ~wrong,
            cells.probability,
        ),
        (
            "Just left empty",
            "Left empty with the greatest probability.",
            guessed & ~cells.filled,
            -cells.probability,
        ),
    ]
    found = []
    for title, explanation, mask, key in kinds:
        rows = np.flatnonzero(mask)
        chosen = rows[np.argsort(key[rows], kind="stable")][:count]
        if chosen.size:
            details = read_rows(run.ledger, chosen, _DETAILS).to_pylist()
            ids = [detail["id"] for detail in details]
            references = _references(run, ids)
            album = open_album(zip(ids, references, strict=True), read, run.table, stored, decode)
            shown = tuple(
                _cell(run, int(cell), detail, reference, album)
                for cell, detail, reference in zip(chosen, details, references, strict=True)
            )
            found.append(DoubtfulSet(title, explanation, len(rows), shown))
    return found


def _references(run: FillRun, ids: list[str]) -> list[str | None]:
    if run.images is None:
        return [None] * len(ids)
    place = pc.index_in(pa.array(ids), value_set=run.images.column("id").combine_chunks())
    found: list[str | None] = run.images.column("image").take(place).to_pylist()
    return found


def _cell(
    run: FillRun, cell: int, detail: dict[str, Any], reference: str | None, album: Album
) -> DoubtfulCell:
    cells = run.cells
    truth, value = int(cells.truth[cell]), cells.values[int(cells.best[cell])]
    others = [
        (str(one["value"]), float(one["probability"]))
        for one in detail.get("alternatives") or ()
        if one["value"] != value and one["probability"] is not None
    ]
    return DoubtfulCell(
        id=str(detail["id"]),
        value=value,
        filled=bool(cells.filled[cell]),
        probability=float(cells.probability[cell]),
        threshold=detail.get("threshold"),
        truth=cells.values[truth] if truth >= 0 else None,
        alternatives=tuple(others[:_ALTERNATIVES_SHOWN]),
        picture=None if run.images is None else album.thumbnail(str(detail["id"]), reference, SIDE),
    )
