"""Predictions for a table: its images embedded, classified, and the bad ones set aside."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.predictions import Predictions, write_predictions
from rac.classifier import ClassifierOutput, RacClassifier, to_predictions
from rac.embedding import embed_table
from rac.embedding.cache import EmbeddingCache
from rac.encoders import Encoder
from rac.errors import InputError
from rac.images.limits import ImageLimits
from rac.tables import Item, Table
from retrieval_index import Neighbours
from retrieval_index.files import replace_file

SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class Quarantined:
    """An image that could not be read.

    Attributes:
        id: of the item.
        row: its number in the table, from 0.
        image: its reference, None where the cell held bytes or nothing.
        reason: one word for the kind of fault.
        detail: the same in a sentence.
    """

    id: str
    row: int
    image: str | None
    reason: str
    detail: str


@dataclass(frozen=True)
class TablePredictions:
    """What was predicted for a table, and what could not be.

    Attributes:
        predictions: one row for each row of the table; without a prediction where the image is bad.
        quarantine: the bad images, in the table's order.
    """

    predictions: Predictions
    quarantine: list[Quarantined]


def predict_table(
    table: Table,
    classifier: RacClassifier,
    encoder: Encoder,
    *,
    name: str = "rac",
    batch_size: int = 64,
    max_bad: float | None = None,
    cache: EmbeddingCache | None = None,
    limits: ImageLimits | None = None,
    progress: bool = True,
) -> TablePredictions:
    """Classify the images of a table.

    Pixels stream; the answers, 3 (C + k) numbers a row, are kept until the end.

    Args:
        table: items with images; labels, where it has them, go along.
        classifier: whose encoder is ``encoder``.
        encoder: gives the features.
        name: of the run, on reports.
        batch_size: images in one forward pass.
        max_bad: end when more than this share of the images is bad; None for never.
        cache: of embeddings.
        limits: of images.
        progress: whether a progress bar is shown.

    Raises:
        EncoderMismatch: the classifier was trained with another encoder.
        JobFailed: the share of bad images passes ``max_bad``.
    """
    classifier.memory.require(encoder=encoder.identity)
    outputs: list[ClassifierOutput] = []
    items: list[Item] = []
    fine: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
    hashes: list[str | None] = []
    quarantine: list[Quarantined] = []
    for batch in embed_table(
        table,
        encoder,
        batch_size=batch_size,
        max_bad=max_bad,
        cache=cache,
        limits=limits,
        description="predicting",
        progress=progress,
    ):
        vectors = batch.trunk if classifier.config.space == "trunk" else batch.embedding
        for place, fault in enumerate(batch.reasons):
            if fault is not None:
                reason, _, detail = fault.partition(": ")
                item = batch.items[place]
                image = item.image if isinstance(item.image, str) else None
                row = len(items) + place
                quarantine.append(Quarantined(item.id, row, image, reason, detail))
        outputs.append(classifier.predict(vectors))
        items.extend(batch.items)
        fine.append(batch.ok)
        hashes.extend(batch.hashes)
    output = _joined(outputs or [classifier.predict(np.empty((0, classifier.config.dim)))])
    predictions = to_predictions(
        output,
        items,
        [item.label for item in items],
        name,
        model=classifier,
        ok=np.concatenate([np.zeros(0, np.bool_), *fine]),
        hashes=hashes,
        source=table.source,
        image_folder=table.base,
        metadata={"table": table.source, "encoder": encoder.name, "space": classifier.config.space},
    )
    return TablePredictions(predictions, quarantine)


def write_table_predictions(found: TablePredictions, path: str | Path) -> tuple[Path, Path]:
    """Write predictions, and the bad images beside them as ``<stem>.quarantine.csv``.

    Args:
        found: what :func:`predict_table` gave.
        path: ends in ``.parquet`` (everything) or ``.csv`` (id, label, prediction, confidence).

    Returns:
        Both files; the quarantine is written even where it is empty, so that none is left from
        a run before.

    Raises:
        InputError: the path ends otherwise.
    """
    target = Path(path)
    check_suffix(target)
    if target.suffix.lower() == ".parquet":
        write_predictions(found.predictions, target)
    else:
        _write_csv(found.predictions, target)
    beside = target.with_name(f"{target.stem}.quarantine.csv")
    with replace_file(beside) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["id", "row", "image", "reason", "detail"])
        writer.writerows(
            [bad.id, bad.row, bad.image or "", bad.reason, bad.detail] for bad in found.quarantine
        )
    return target, beside


def check_suffix(path: Path) -> None:
    """Refuse a file that predictions cannot be written to, before the work is done.

    Raises:
        InputError: it ends in neither ``.parquet`` nor ``.csv``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: predictions are written as {' or '.join(SUFFIXES)}")


def _write_csv(predictions: Predictions, path: Path) -> None:
    sure = predictions.confidence
    with replace_file(path) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["id", "label", "prediction", "confidence"])
        for row, id in enumerate(predictions.ids):
            given = predictions.predictions[row]
            confidence = "" if given is None or sure is None else f"{sure[row]:.6f}"
            label = predictions.label_cells[row]
            writer.writerow([id, label or "", given or "", confidence])


def _joined(outputs: list[ClassifierOutput]) -> ClassifierOutput:
    first = outputs[0]
    told = [one.text for one in outputs if one.text is not None]
    return ClassifierOutput(
        probabilities=np.concatenate([one.probabilities for one in outputs]),
        base=np.concatenate([one.base for one in outputs]),
        retrieval=np.concatenate([one.retrieval for one in outputs]),
        neighbours=Neighbours(
            scores=np.concatenate([one.neighbours.scores for one in outputs]),
            rows=np.concatenate([one.neighbours.rows for one in outputs]),
        ),
        classes=first.classes,
        train_counts=first.train_counts,
        branches=first.branches,
        text=np.concatenate(told) if told else None,
    )
