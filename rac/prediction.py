"""Predictions for a table, as a job that can be killed: finished parts stay, and are gone on with.

While it runs, there is a folder ``FILE.unfinished`` beside the file to come, for its owner alone.
At the end its parts become the file, whole or not at all, and the folder goes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eval.csv_texts import PeoplesCsv
from eval.header import HEADER_KEY
from eval.predicted import Predictions, require_unique_ids
from rac.classifier import RacClassifier, to_predictions
from rac.embedding.bad import BadTally
from rac.embedding.cache import EmbeddingCache
from rac.embedding.stream import read_rows
from rac.encoders import Encoder
from rac.errors import InputError
from rac.images.limits import ImageLimits
from rac.prediction_features import Embedder, FeatureBatch, embed_for
from rac.prediction_parts import (
    PART_ROWS,
    Input,
    PartNotes,
    PredictionJob,
    PredictionParts,
    input_of,
)
from rac.progress import progress_bar
from rac.quarantine import Quarantined, write_quarantine
from rac.tables import Item, Table
from rac.unfinished import held, private_folder
from retrieval_index.files import replace_file

SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class PredictionSummary:
    """What a prediction job did.

    Attributes:
        rows: of the table, each with a row in the file.
        bad_images: rows without a prediction, since their image could not be read.
        resumed_rows: rows that a run before this one had done.
        branches: ``fused``, or ``base`` where the memory had nothing to say.
        file: the predictions.
        quarantine: the bad images with their reasons; written even where there are none, so that
            no table of a run before is left.
    """

    rows: int
    bad_images: int
    resumed_rows: int
    branches: Literal["fused", "base"]
    file: Path
    quarantine: Path


def predict_to_file(
    table: Table,
    classifier: RacClassifier,
    encoder: Encoder,
    path: str | Path,
    *,
    name: str = "rac",
    batch_size: int = 64,
    max_bad: float | None = None,
    cache: EmbeddingCache | None = None,
    memory: Embedder | None = None,
    limits: ImageLimits | None = None,
    restart: bool = False,
    progress: bool = True,
) -> PredictionSummary:
    """Classify the images of a table, and write one row for each of its rows, in its order.

    Rows stream; what is held does not grow with their number, but for their ids at the end. A run
    that was killed is gone on with if table, model and encoder are still the same.

    Args:
        table: items with images; labels, where it has them, go along.
        classifier: whose encoder is ``encoder``.
        encoder: gives the features for the base branch, and for the memory mostly too.
        path: ends in ``.parquet`` (everything) or ``.csv`` (id, label, prediction, confidence; text
            that a spreadsheet would run is defused, see :mod:`eval.csv_texts`).
            The bad images go beside it, into ``<stem>.quarantine.csv``.
        name: of the run, on reports.
        batch_size: images in one forward pass.
        max_bad: end when more than this share of the images is bad; None for never.
        cache: of ``encoder``'s embeddings.
        memory: gives the features for the memory, where the classifier names an encoder for it.
        limits: of images.
        restart: throw away what an unfinished run has left.
        progress: whether a progress bar is shown.

    Raises:
        InputError: the classifier's memory has an encoder of its own and ``memory`` is missing, or
            it has none and is given one; the path ends otherwise; what is unfinished there is
            another job, or the table has changed meanwhile; or another process writes the same
            file.
        EncoderMismatch: the classifier was trained with other encoders.
        JobFailed: the share of bad images passes ``max_bad``.
        ReportFault: an id is empty, or occurs twice.
    """
    target = Path(path)
    check_suffix(target)
    classifier.require(
        encoder=encoder.identity,
        memory_encoder=None if memory is None else memory.encoder.identity,
    )
    own = classifier.config.memory_encoder
    if own is not None and memory is None:
        raise InputError(f"the model's memory has an encoder of its own, {own.encoder_name}")
    job = PredictionJob(
        table=table.source,
        image=table.require("image"),
        id=table.roles.id,
        label=table.roles.label,
        encoder=encoder.identity,
        model=_model_digest(classifier),
        name=name,
    )
    folder = target.with_name(f"{target.name}.unfinished")
    if folder.is_symlink():
        raise InputError(f"{folder}: a link is in the place of the job's folder; remove the link")
    private_folder(folder)
    with held(folder, f"another process writes {target}; wait for it, or take another file"):
        parts = PredictionParts.open(folder, job, restart=restart)
        resumed = parts.rows
        bad = sum(len(notes.bad) for notes in parts.notes)
        tally = BadTally(max_bad, rows=resumed, bad=bad)
        part = _Part(classifier, table, name, encoder)
        with progress_bar("predicting", table.num_rows(), shown=progress) as advance:
            advance(resumed)
            for batch in embed_for(
                classifier.config,
                parts.after_done(read_rows(table, batch_size)),
                table.base,
                Embedder(encoder, cache),
                memory,
                limits=limits,
            ):
                tally.count(batch.reasons)
                part.take(batch)
                if len(part) >= PART_ROWS:
                    part.write(parts)
                    part = _Part(classifier, table, name, encoder)
                advance(len(batch.items))
        if len(part):
            part.write(parts)
        tally.close()
        strange = sorted({label for notes in parts.notes for label in notes.strange})
        nothing = _Part(classifier, table, name, encoder).predictions(strange)
        _join(parts, nothing, target)
        quarantine = target.with_name(f"{target.stem}.quarantine.csv")
        write_quarantine(quarantine, (one for notes in parts.notes for one in notes.bad))
        parts.remove()
    branches: Literal["fused", "base"] = "fused" if classifier.memory_counts.any() else "base"
    return PredictionSummary(tally.rows, tally.bad, resumed, branches, target, quarantine)


def check_suffix(path: Path) -> None:
    """Refuse a file that predictions cannot be written to, before the work is done.

    Raises:
        InputError: it ends in neither ``.parquet`` nor ``.csv``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: predictions are written as {' or '.join(SUFFIXES)}")


class _Part:
    """Embedded rows that are classified and written together."""

    def __init__(
        self, classifier: RacClassifier, table: Table, name: str, encoder: Encoder
    ) -> None:
        self._classifier = classifier
        self._table = table
        self._name = name
        self._encoder = encoder
        self._items: list[Item] = []
        self._inputs: list[Input] = []
        config = classifier.config
        self._vectors = [np.zeros((0, config.dim), np.float32)]
        self._asked = [np.zeros((0, config.of_memory().dim), np.float32)]
        self._faults: list[str | None] = []
        self._hashes: list[str | None] = []

    def __len__(self) -> int:
        return len(self._items)

    def take(self, batch: FeatureBatch) -> None:
        """Keep of a batch what a prediction needs; its cells may hold whole images."""
        self._vectors.append(batch.features)
        if batch.memory_features is not None:
            self._asked.append(batch.memory_features)
        self._inputs += [input_of(item) for item in batch.items]
        self._items += [
            replace(item, image=None) if isinstance(item.image, bytes) else item
            for item in batch.items
        ]
        self._faults += batch.reasons
        self._hashes += batch.hashes

    def predictions(self, strange: list[str] | None = None) -> Predictions:
        """Classify; ``strange`` are labels without a class that other parts have met."""
        config = self._classifier.config
        told: dict[str, object] = {
            "table": self._table.source,
            "encoder": self._encoder.name,
            "space": config.space,
        }
        if strange:
            told["labels_without_class"] = strange
        own = config.memory_encoder
        asked = None if own is None else np.concatenate(self._asked)
        return to_predictions(
            self._classifier.predict(np.concatenate(self._vectors), asked),
            self._items,
            [item.label for item in self._items],
            self._name,
            model=self._classifier,
            ok=np.array([fault is None for fault in self._faults], dtype=np.bool_),
            hashes=self._hashes,
            source=self._table.source,
            image_folder=self._table.base,
            metadata=told,
        )

    def write(self, parts: PredictionParts) -> None:
        """Classify, and add the rows to those that are done."""
        found = self.predictions()
        bad = [
            Quarantined(item.id, parts.rows + place, _reference(item), fault)
            for place, (item, fault) in enumerate(zip(self._items, self._faults, strict=True))
            if fault is not None
        ]
        known = set(self._classifier.classes)
        labels = {item.label for item in self._items if item.label is not None}
        parts.add(found.table(), self._inputs, PartNotes(bad=bad, strange=sorted(labels - known)))


def _join(parts: PredictionParts, nothing: Predictions, target: Path) -> None:
    """Make one file of all parts; ``nothing`` has no rows and knows what is said of all."""
    _require_unique(parts, nothing.source or nothing.where)
    if target.suffix.lower() == ".csv":
        _write_csv(parts, target)
        return
    schema = nothing.table().schema.with_metadata({HEADER_KEY: nothing.header.as_bytes()})
    with replace_file(target) as draft, pq.ParquetWriter(draft, schema) as writer:
        for block in parts.blocks():
            writer.write_table(block.cast(schema))


def _require_unique(parts: PredictionParts, where: str) -> None:
    ids = pa.chunked_array([c for b in parts.blocks() for c in b["id"].chunks], pa.string())
    if pc.count_distinct(ids, mode="all").as_py() != len(ids):
        require_unique_ids(ids.to_pylist(), where)


def _write_csv(parts: PredictionParts, path: Path) -> None:
    columns = ("id", "label", "prediction", "confidence")
    with replace_file(path) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = PeoplesCsv(handle)
        writer.write(columns)
        for block in parts.blocks():
            for row in zip(*(block[name].to_pylist() for name in columns), strict=True):
                writer.write(row)


def _reference(item: Item) -> str | None:
    return item.image if isinstance(item.image, str) else None


def _model_digest(classifier: RacClassifier) -> str:
    """Give a SHA-256 of what the answers depend on: configuration and files of the memory."""
    told = classifier.config.model_dump_json() + classifier.memory.manifest.model_dump_json()
    return hashlib.sha256(told.encode()).hexdigest()
