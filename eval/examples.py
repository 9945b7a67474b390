"""Rows worth looking at: where retrieval rescued or harmed, and where the model is surely wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.arrays import Bools, Floats, Ints
from eval.evaluation import Evaluation
from eval.outcomes import Outcomes
from eval.pictures import Album, StoredImages, open_album
from eval.thumbnails import ImageDecoder, ImageReader, Thumbnail, decode_small

QUERY_SIDE = 176
NEIGHBOUR_SIDE = 104
NEIGHBOURS_SHOWN = 6


@dataclass(frozen=True)
class ShownNeighbour:
    """A neighbour of an example; ``same`` says whether it has the example's label."""

    id: str
    label: str | None
    score: float | None
    same: bool
    picture: Thumbnail | None


@dataclass(frozen=True)
class Example:
    """A test row with what every part of the model said about it."""

    id: str
    label: str
    train_rows: int | None
    prediction: str
    confidence: float | None
    base: str | None
    retrieval: str | None
    picture: Thumbnail | None
    neighbours: tuple[ShownNeighbour, ...]


@dataclass(frozen=True)
class ExampleSet:
    """Examples of one kind. ``total`` counts all rows of that kind, shown or not."""

    title: str
    explanation: str
    total: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class _Kind:
    """A kind of examples before they are put together: the rows that were chosen of it."""

    title: str
    explanation: str
    total: int
    rows: Ints


def pick_examples(
    evaluation: Evaluation,
    read: ImageReader,
    count: int = 6,
    *,
    read_neighbour: ImageReader | None = None,
    stored: StoredImages | None = None,
    decode: ImageDecoder = decode_small,
) -> list[ExampleSet]:
    """Pick examples of each kind, at most one a class before any class comes twice.

    Rescued rows come rarest class first, the others most confident first; ties in row order.

    Args:
        evaluation: the run.
        read: gives the bytes of an image reference.
        count: at most this many of each kind; 0 for none.
        read_neighbour: the same for neighbours, where their images lie elsewhere.
        stored: gives images that lie in the cells of the run's tables.
        decode: makes a picture of an image's bytes.

    Returns:
        Only kinds that have rows; empty where rows have neither images nor neighbours.
    """
    outcomes = evaluation.outcomes
    columns = outcomes.columns
    if count < 1 or not ("image" in columns or "neighbour_ids" in columns):
        return []
    right = outcomes.correct
    doubt: Floats = np.zeros(len(outcomes))
    if outcomes.confidence is not None:
        doubt = -outcomes.confidence
    kinds: list[_Kind] = []

    def add(title: str, explanation: str, mask: Bools, key: Floats) -> None:
        rows = _spread(np.flatnonzero(mask), outcomes.labels, key)[:count]
        if rows.size:
            kinds.append(_Kind(title, explanation, int(np.count_nonzero(mask)), rows))

    if outcomes.base is not None:
        base_right = outcomes.base == outcomes.labels
        rarity = doubt
        if outcomes.train_counts is not None:
            rarity = outcomes.train_counts[outcomes.labels].astype(np.float64)
        add(
            "Rescued by retrieval",
            "The base branch alone is wrong, the fused model is right. Rarest classes first.",
            right & ~base_right,
            rarity,
        )
        add(
            "Harmed by retrieval",
            "The base branch alone is right, the fused model is wrong.",
            base_right & ~right,
            doubt,
        )
    add(
        "Confident mistakes",
        "Wrong predictions that the model is surest of.",
        ~right,
        doubt,
    )
    if not kinds:
        return []
    chosen = np.unique(np.concatenate([kind.rows for kind in kinds]))
    details: list[dict[str, Any]] = outcomes.rows(chosen)
    header = outcomes.header
    queries = open_album(
        ((one["id"], one.get("image")) for one in details), read, header.source, stored, decode
    )
    neighbours = open_album(
        (near[:2] for one in details for near in _near(one)),
        read_neighbour or read,
        None if header.training is None else header.training.source,
        stored,
        decode,
    )
    examples = {
        int(row): _example(outcomes, int(row), cells, queries, neighbours)
        for row, cells in zip(chosen, details, strict=True)
    }
    return [
        ExampleSet(
            kind.title, kind.explanation, kind.total, tuple(examples[int(row)] for row in kind.rows)
        )
        for kind in kinds
    ]


def _spread(rows: Ints, labels: Ints, key: Floats) -> Ints:
    """Rows by (how often their class came before, key, row)."""
    ordered = rows[np.lexsort((rows, key[rows]))]
    of_class = labels[ordered]
    grouped = np.argsort(of_class, kind="stable")
    starts = np.flatnonzero(np.diff(of_class[grouped], prepend=-1))
    turn = np.empty(len(ordered), dtype=np.int64)
    sizes = np.diff(np.append(starts, len(ordered)))
    turn[grouped] = np.arange(len(ordered)) - np.repeat(starts, sizes)
    spread: Ints = ordered[np.argsort(turn, kind="stable")]
    return spread


def _example(
    outcomes: Outcomes, row: int, cells: dict[str, Any], queries: Album, neighbours: Album
) -> Example:
    classes = outcomes.classes
    label = classes[int(outcomes.labels[row])]
    picture = None
    if "image" in cells:
        picture = queries.thumbnail(cells["id"], cells["image"], QUERY_SIDE)
    counts = outcomes.train_counts
    return Example(
        id=cells["id"],
        label=label,
        train_rows=None if counts is None else int(counts[outcomes.labels[row]]),
        prediction=classes[int(outcomes.predictions[row])],
        confidence=None if outcomes.confidence is None else float(outcomes.confidence[row]),
        base=_name(classes, outcomes.base, row),
        retrieval=_name(classes, outcomes.retrieval, row),
        picture=picture,
        neighbours=tuple(
            ShownNeighbour(
                id=name,
                label=near_label,
                score=None if score is None else float(score),
                same=near_label == label,
                picture=neighbours.thumbnail(name, image, NEIGHBOUR_SIDE)
                if "neighbour_images" in cells
                else None,
            )
            for name, image, near_label, score in _near(cells)
        ),
    )


def _near(cells: dict[str, Any]) -> list[tuple[str, str | None, str | None, float | None]]:
    """Id, image reference, label and similarity of the neighbours that are shown of a row."""
    names = cells.get("neighbour_ids") or []
    columns = (
        cells.get(f"neighbour_{name}") or [None] * len(names)
        for name in ("images", "labels", "scores")
    )
    there = [near for near in zip(names, *columns, strict=True) if near[0] is not None]
    return there[:NEIGHBOURS_SHOWN]


def _name(classes: tuple[str, ...], given: Ints | None, row: int) -> str | None:
    return None if given is None or given[row] < 0 else classes[int(given[row])]
