"""Prediction files: our own Parquet, and any table with id, label and prediction.

Our own file is Parquet with the columns id, label, prediction, and where there are confidence,
scores, base_scores, retrieval_scores (lists of C floats), top_classes (the best classes of a row,
best first), base_prediction, retrieval_prediction, neighbour_ids, neighbour_labels,
neighbour_scores, neighbour_images (lists of K), image and content_hash (SHA-256 of the image's
bytes, in hexadecimal). Scores of all classes take 4 C bytes a row and a branch; ``top_classes`` and
the two branch predictions serve a report as well.

What is said once for all rows (name, classes, training counts, metadata, the images that were
trained on and selected by) is JSON under the key ``rac.predictions`` of the schema.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eval.arrays import Ints
from eval.csv_texts import csv_columns, read_csv_texts
from eval.errors import ReportFault
from eval.header import HEADER_KEY, RunHeader, header_from_bytes
from eval.image_sets import ImageSet
from eval.parquet_rows import faults_told, read_rows
from eval.predicted import Predictions, require_classes, rows_of_block
from eval.prediction_rows import (
    COLUMNS,
    PLAIN_COLUMNS,
    SCORE_COLUMNS,
    RowBlock,
    require_columns,
)
from retrieval_index.files import replace_file

__all__ = [
    "PredictionFile",
    "Predictions",
    "open_predictions",
    "read_predictions",
    "write_predictions",
]


@dataclass(frozen=True, eq=False)
class PredictionFile:
    """An opened prediction file, whose rows can be read block by block.

    Attributes:
        path: the file.
        header: what it says once for all rows.
        table: the rows of a CSV, which is read whole; None for Parquet.
    """

    path: Path
    header: RunHeader
    table: pa.Table | None = None

    @property
    def where(self) -> str:
        """How faults call it."""
        return str(self.path)

    def blocks(self) -> Iterator[RowBlock]:
        """Read the file in blocks of rows, in order; memory does not grow with the rows.

        Ids are not checked for being unique.
        """
        if self.table is not None:
            yield RowBlock(self.table, self.header, self.where)
            return
        first = 0
        # With its default, the reader would fetch all row groups ahead and hold them.
        with faults_told(self.path), pq.ParquetFile(self.path, pre_buffer=False) as file:
            names = [name for name in file.schema_arrow.names if name in COLUMNS]
            step = rows_of_block(len(self.header.classes))
            for batch in file.iter_batches(batch_size=step, columns=names):
                # Also that what is called text is UTF-8.
                batch.validate(full=True)
                yield RowBlock(pa.Table.from_batches([batch]), self.header, self.where, first)
                first += batch.num_rows

    def rows(self, positions: Ints) -> pa.Table:
        """The rows at positions (R,), at least one, counted from 0, in that order, without scores.

        Of a Parquet file only the row groups are read that hold them.
        """
        if self.table is not None:
            return self.table.take(pa.array(positions))
        columns = [name for name in COLUMNS if name not in SCORE_COLUMNS]
        return read_rows(self.path, positions, columns)

    def read(self) -> Predictions:
        """Read the whole file into memory."""
        table = self.table
        if table is None:
            with faults_told(self.path):
                names = [name for name in pq.read_schema(self.path).names if name in COLUMNS]
                table = pq.read_table(self.path, columns=names)
                table.validate(full=True)
        block = RowBlock(table, self.header, self.where)

        def cells(name: str) -> list[str | None] | None:
            if name not in table.column_names:
                return None
            texts: list[str | None] = table.column(name).cast(pa.string()).to_pylist()
            return texts

        def lists(name: str) -> list[list[str | None]] | None:
            if name not in table.column_names:
                return None
            return [[] if row is None else row for row in table.column(name).to_pylist()]

        return Predictions(
            name=self.header.name,
            ids=block.ids.to_pylist(),
            labels=cells("label"),
            predictions=cells("prediction") or (),
            classes=self.header.classes,
            confidence=block.confidence,
            train_counts=self.header.train_counts,
            scores=block.scores("scores"),
            base_scores=block.scores("base_scores"),
            retrieval_scores=block.scores("retrieval_scores"),
            top_classes=lists("top_classes"),
            base_predictions=cells("base_prediction"),
            retrieval_predictions=cells("retrieval_prediction"),
            neighbour_ids=lists("neighbour_ids"),
            neighbour_labels=lists("neighbour_labels"),
            neighbour_scores=table.column("neighbour_scores").to_pylist()
            if "neighbour_scores" in table.column_names
            else None,
            neighbour_images=lists("neighbour_images"),
            images=cells("image"),
            image_folder=self.header.image_folder,
            neighbour_folder=self.header.neighbour_folder,
            content_hashes=cells("content_hash"),
            source=self.header.source,
            training=self.header.training,
            selection=self.header.selection,
            metadata=self.header.metadata,
        )


def write_predictions(predictions: Predictions, path: str | Path) -> Path:
    """Write predictions as one Parquet file, whole or not at all.

    Args:
        predictions: checked already, by being created.
        path: the file to write or replace; ``.parquet``.

    Raises:
        ReportFault: the path does not end in ``.parquet``, or metadata is not JSON.
    """
    target = Path(path)
    if target.suffix.lower() != ".parquet":
        raise ReportFault(f"{target}: prediction files are written as .parquet")
    header = predictions.header.as_bytes()
    blocks = predictions.blocks()
    first = next(blocks).table
    schema = first.schema.with_metadata({HEADER_KEY: header})
    with replace_file(target) as draft, pq.ParquetWriter(draft, schema) as writer:
        writer.write_table(first.cast(schema))
        for block in blocks:
            writer.write_table(block.table.cast(schema))
    return target


def read_predictions(
    path: str | Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    train_counts: Mapping[str, int] | None = None,
) -> Predictions:
    """Read a prediction file whole; see :func:`open_predictions`."""
    return open_predictions(path, name=name, classes=classes, train_counts=train_counts).read()


def open_predictions(
    path: str | Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    train_counts: Mapping[str, int] | None = None,
    training: ImageSet | None = None,
) -> PredictionFile:
    """Open our own Parquet file, or any ``.csv`` or ``.parquet`` with id, label and prediction.

    In a CSV an empty cell is "unknown" (label) or "none made" (prediction); every other text is a
    class, ``NA`` and ``null`` too, as it was before it was defused for spreadsheets (see
    :mod:`eval.csv_texts`). Whole numbers are fine as labels; floats are refused, since two large
    ids can be one float.

    Args:
        path: the file, or a folder that holds ``predictions.parquet``.
        name: the run's name; by default the file's own, or its stem.
        classes: the classes in the order of the score columns; by default the file's own, or the
            sorted names that occur in it and in ``train_counts``.
        train_counts: training rows by class, in place of the file's own; a class that is not named
            has none.
        training: the images that were trained on, in place of the file's own.

    Raises:
        ReportFault: no such file, not such a table, a column missing, or classes that contradict.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "predictions.parquet"
    if not file.is_file():
        raise ReportFault(f"{file}: there is no such file; give a .csv or .parquet of predictions")
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ReportFault(f"{file}: predictions are read from .csv or .parquet")
    table = None
    with faults_told(file):
        if suffix == ".csv":
            table = read_csv_texts(file, PLAIN_COLUMNS)
            schema = pa.schema([(name, pa.string()) for name in csv_columns(file)])
        else:
            schema = pq.read_schema(file)
    require_columns(schema, str(file))
    said = (schema.metadata or {}).get(HEADER_KEY)
    header = header_from_bytes(said, file) if said is not None else _foreign(file)
    if classes is not None:
        known: Sequence[str] = classes
    elif said is not None:
        known = header.classes
    else:
        if table is None and any(column in schema.names for column in SCORE_COLUMNS):
            raise ReportFault(
                f"{file}: has scores but does not say in which order its classes are; name the "
                "classes in the order of the scores (--classes)"
            )
        known = sorted(_names_in(file, table) | set(train_counts or {}))
    require_classes(known)
    counts = header.train_counts
    if train_counts is not None:
        unknown = sorted(set(train_counts) - set(known))
        if unknown:
            raise ReportFault(
                f"the training counts name {unknown[0]!r}, which is not among the "
                f"{len(known)} classes of {file}"
            )
        counts = np.array([train_counts.get(label, 0) for label in known], dtype=np.int64)
    return PredictionFile(
        path=file,
        header=replace(
            header,
            name=name or header.name,
            classes=tuple(known),
            train_counts=counts,
            training=training or header.training,
        ),
        table=table,
    )


def _foreign(file: Path) -> RunHeader:
    return RunHeader(
        # The name of a file need not be UTF-8, and a run's name is written into files that are.
        name=os.fsencode(file.stem).decode("utf-8", "replace"),
        classes=(),
        train_counts=None,
        image_folder=None,
        neighbour_folder=None,
        source=None,
        training=None,
        selection=None,
        metadata={},
    )


def _names_in(file: Path, table: pa.Table | None) -> set[str]:
    """The classes that a foreign table speaks of."""
    wanted = ("label", "prediction", "base_prediction", "retrieval_prediction", "top_classes")
    if table is None:
        with faults_told(file):
            names_there = pq.read_schema(file).names
            table = pq.read_table(file, columns=[name for name in wanted if name in names_there])
            table.validate(full=True)
    columns = [name for name in wanted if name in table.column_names]
    names: set[str] = set()
    for column in columns:
        cells = table.column(column)
        if column == "top_classes":
            cells = pc.list_flatten(cells)
        distinct = pc.unique(cells.cast(pa.string()))
        names.update(name for name in distinct.to_pylist() if name is not None)
    return names
