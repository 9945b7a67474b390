"""One model's predictions on one table, in memory and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eval.arrays import Floats, Scores, as_indices
from eval.errors import ReportFault
from eval.header import RunHeader
from eval.image_sets import ImageSet
from eval.prediction_rows import NEIGHBOUR_COLUMNS, SCORE_COLUMNS, RowBlock

BLOCK_CELLS = 1 << 23  # score cells of a block of rows: 32 MB

# A Parquet file of scores that cannot be null is read twice as fast.
_SCORE = pa.field("element", pa.float32(), nullable=False)

Cells = Sequence[Sequence[str | None]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What a model said about N rows, C classes and K neighbours.

    Creating one checks it whole; every fault names the row (counted from 1) and the column.

    Attributes:
        name: the run's name on the report.
        ids: (N,) unique strings.
        labels: (N,) true class, None where unknown; or None where all are.
        predictions: (N,) predicted class, None where none was made (a bad image, say).
        classes: (C,) unique names; fixes the order of every score column.
        confidence: (N,) probability of the predicted class in [0, 1]; NaN only where there is no
            prediction.
        train_counts: (C,) training rows of each class.
        scores: (N, C) of the whole model, higher is better; -inf allowed, NaN and +inf refused.
            May be memory-mapped.
        base_scores: (N, C) of the base branch alone.
        retrieval_scores: (N, C) of the retrieval branch alone; a row of -inf found nothing.
        top_classes: N sequences of the best classes, best first: what a report needs of scores,
            in a hundredth of the space. At least five of them give top-5.
        base_predictions: (N,) predicted class of the base branch, where its scores are not kept.
        retrieval_predictions: (N,) the same of the retrieval branch.
        neighbour_ids: N sequences of at most K neighbours, nearest first; None pads.
        neighbour_labels: their labels, in the same shape.
        neighbour_scores: their similarities; a number for every neighbour that is there.
        neighbour_images: references of their images, as in ``images``.
        images: (N,) reference of each row's image: a path relative to ``image_folder``.
        image_folder: where image paths start.
        neighbour_folder: where those of neighbours start; None where it is the same folder.
        content_hashes: (N,) SHA-256 of each image's bytes in hexadecimal, None where unknown.
        source: the table that the rows come from, as the user named it.
        training: the images that the model was trained on, so that overlap can be refused.
        selection: the images that epochs, thresholds, k or weights were chosen by.
        metadata: what the provenance section shows: encoder, data, settings; JSON values.

    Raises:
        ReportFault: anything above does not hold.
    """

    name: str
    ids: Sequence[str]
    labels: Sequence[str | None] | None
    predictions: Sequence[str | None]
    classes: Sequence[str]
    confidence: npt.NDArray[np.floating] | None = None
    train_counts: npt.NDArray[np.integer] | None = None
    scores: Scores | None = None
    base_scores: Scores | None = None
    retrieval_scores: Scores | None = None
    top_classes: Cells | None = None
    base_predictions: Sequence[str | None] | None = None
    retrieval_predictions: Sequence[str | None] | None = None
    neighbour_ids: Cells | None = None
    neighbour_labels: Cells | None = None
    neighbour_scores: Sequence[Sequence[float]] | npt.NDArray[np.floating] | None = None
    neighbour_images: Cells | None = None
    images: Sequence[str | None] | None = None
    image_folder: str | None = None
    neighbour_folder: str | None = None
    content_hashes: Sequence[str | None] | None = None
    source: str | None = None
    training: ImageSet | None = None
    selection: ImageSet | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, "ids", tuple(self.ids))
        _set(self, "classes", tuple(self.classes))
        _set(self, "predictions", tuple(self.predictions))
        given = self.labels if self.labels is not None else (None,) * len(self.ids)
        _set(self, "labels", tuple(given))
        require_unique_ids(self.ids, self.where)
        require_classes(self.classes)
        self._check_shapes()
        if self.train_counts is not None:
            counts = as_indices(self.train_counts, "train_counts")
            if len(counts) != len(self.classes) or (counts.size and counts.min() < 0):
                raise ReportFault(
                    f"train_counts must hold {len(self.classes)} counts of at least 0, one a class"
                )
            _set(self, "train_counts", counts)
        for block in self.blocks():
            block.check()
        if self.confidence is not None:
            made = np.fromiter((cell is not None for cell in self.predictions), bool, len(self))
            sure: Floats = np.asarray(self.confidence, dtype=np.float64)
            _set(self, "confidence", np.where(made, np.clip(sure, 0, 1), np.nan))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def where(self) -> str:
        """How faults call them."""
        return self.name

    @property
    def label_cells(self) -> tuple[str | None, ...]:
        """(N,) labels as a tuple, also where none is known."""
        return tuple(self.labels or ())

    @cached_property
    def header(self) -> RunHeader:
        """What is the same for every row."""
        return RunHeader(
            name=self.name,
            classes=tuple(self.classes),
            train_counts=None if self.train_counts is None else as_indices(self.train_counts, ""),
            image_folder=self.image_folder,
            neighbour_folder=self.neighbour_folder,
            source=self.source,
            training=self.training,
            selection=self.selection,
            metadata=self.metadata,
        )

    def blocks(self) -> Iterator[RowBlock]:
        """The rows in order, in blocks small enough to work on; at least one, if without rows."""
        step = rows_of_block(len(self.classes))
        for start in range(0, max(1, len(self)), step):
            yield RowBlock(self.table(start, start + step), self.header, self.where, start)

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Rows ``start`` to ``stop`` as an Arrow table, in the columns of a prediction file."""
        rows = slice(start, stop)
        columns: dict[str, pa.Array] = {
            "id": pa.array(self.ids[rows], pa.string()),
            "label": pa.array(self.label_cells[rows], pa.string()),
            "prediction": pa.array(self.predictions[rows], pa.string()),
        }
        if self.confidence is not None:
            sure = np.asarray(self.confidence[rows], dtype=np.float64)
            columns["confidence"] = pa.array(sure, mask=np.isnan(sure))
        for name in SCORE_COLUMNS:
            matrix: Scores | None = getattr(self, name)
            if matrix is not None:
                block = np.ascontiguousarray(matrix[rows], dtype=np.float32)
                columns[name] = pa.FixedSizeListArray.from_arrays(
                    pa.array(block.reshape(-1)), type=pa.list_(_SCORE, len(self.classes))
                )
        texts = {
            "base_prediction": self.base_predictions,
            "retrieval_prediction": self.retrieval_predictions,
            "image": self.images,
            "content_hash": self.content_hashes,
        }
        for name, cells in texts.items():
            if cells is not None:
                columns[name] = pa.array(list(cells[rows]), pa.string())
        for name in ("top_classes", *NEIGHBOUR_COLUMNS):
            lists = getattr(self, name)
            if lists is None:
                continue
            if name == "neighbour_scores":
                near = [[float(score) for score in row] for row in lists[rows]]
                columns[name] = pa.array(near, pa.list_(pa.float32()))
            else:
                columns[name] = pa.array([list(row) for row in lists[rows]], pa.list_(pa.string()))
        return pa.table(columns)

    def _check_shapes(self) -> None:
        columns: dict[str, object] = {
            "label": self.labels,
            "prediction": self.predictions,
            "confidence": self.confidence,
            "top_classes": self.top_classes,
            "base_prediction": self.base_predictions,
            "retrieval_prediction": self.retrieval_predictions,
            "image": self.images,
            "content_hash": self.content_hashes,
            "neighbour_ids": self.neighbour_ids,
            "neighbour_labels": self.neighbour_labels,
            "neighbour_scores": self.neighbour_scores,
            "neighbour_images": self.neighbour_images,
        }
        for name, column in columns.items():
            if column is not None and len(column) != len(self):  # type: ignore[arg-type]
                raise ReportFault(
                    f"{self.name}: column {name!r} has {len(column)} cells "  # type: ignore[arg-type]
                    f"for {len(self)} ids"
                )
        wanted = (len(self), len(self.classes))
        for name in SCORE_COLUMNS:
            scores: Scores | None = getattr(self, name)
            if scores is not None and scores.shape != wanted:
                raise ReportFault(
                    f"{self.name}: column {name!r} has shape {scores.shape}, not {wanted}"
                )


def rows_of_block(classes: int) -> int:
    """How many rows are worked on together where scores of so many classes may be with them."""
    return max(1, min(1 << 16, BLOCK_CELLS // max(1, classes)))


def require_unique_ids(ids: Sequence[str], where: str) -> None:
    """Refuse ids that are empty or occur twice, naming the first.

    Args:
        ids: (N,) of the rows.
        where: how faults call what the rows come from.

    Raises:
        ReportFault: an id is not a non-empty string, or a second row has it too.
    """
    if len(set(ids)) == len(ids) and all(isinstance(i, str) and i for i in ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not isinstance(name, str) or not name:
            raise ReportFault(
                f"{where}: row {row + 1}, column 'id': {name!r} is not a non-empty string"
            )
        if name in first:
            raise ReportFault(
                f"{where}: row {row + 1}, column 'id': {name!r} is also the id of row "
                f"{first[name] + 1}"
            )
        first[name] = row


def require_classes(classes: Sequence[str]) -> None:
    """Refuse a list of classes with an empty, repeated or non-string name.

    Raises:
        ReportFault: naming the class.
    """
    seen: set[str] = set()
    for position, name in enumerate(classes):
        if not isinstance(name, str) or not name:
            raise ReportFault(f"class {position + 1} is {name!r}, not a non-empty string")
        if name in seen:
            raise ReportFault(f"class {position + 1}, {name!r}, is in the list twice")
        seen.add(name)


def _set(record: object, name: str, value: object) -> None:
    object.__setattr__(record, name, value)
