"""One model's predictions on one table, in memory and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, Ints, Scores, as_indices
from eval.errors import ReportFault

_BLOCK_CELLS = 1 << 24

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
        neighbour_ids: N sequences of at most K neighbours, nearest first; None pads.
        neighbour_labels: their labels, in the same shape.
        neighbour_scores: their similarities; a number for every neighbour that is there.
        neighbour_images: references of their images, as in ``images``.
        images: (N,) reference of each row's image: a path relative to ``image_folder``.
        image_folder: where image paths start.
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
    neighbour_ids: Cells | None = None
    neighbour_labels: Cells | None = None
    neighbour_scores: Sequence[Sequence[float]] | npt.NDArray[np.floating] | None = None
    neighbour_images: Cells | None = None
    images: Sequence[str | None] | None = None
    image_folder: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, "ids", tuple(self.ids))
        _set(self, "classes", tuple(self.classes))
        _set(self, "predictions", tuple(self.predictions))
        given = self.labels if self.labels is not None else (None,) * len(self.ids)
        _set(self, "labels", tuple(given))
        require_unique_ids(self.ids)
        require_classes(self.classes)
        self._check_lengths()
        if self.train_counts is not None:
            counts = as_indices(self.train_counts, "train_counts")
            if len(counts) != len(self.classes) or (counts.size and counts.min() < 0):
                raise ReportFault(
                    f"train_counts must hold {len(self.classes)} counts of at least 0, one a class"
                )
            _set(self, "train_counts", counts)
        self._check_known(self.label_cells, "label")
        self._check_known(self.predictions, "prediction")
        self._check_confidence()
        for column in ("scores", "base_scores", "retrieval_scores"):
            self._check_scores(column)
        self._check_neighbours()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def label_cells(self) -> tuple[str | None, ...]:
        """(N,) labels as a tuple, also where none is known."""
        return tuple(self.labels or ())

    def place(self, row: int, column: str) -> str:
        """Words that lead a person to a cell: the row counted from 1, its id, and the column."""
        return f"{self.name}: row {row + 1} (id {self.ids[row]!r}), column {column!r}"

    def indices(self, cells: Sequence[str | None]) -> Ints:
        """Class index (N,) of each cell; -1 for None."""
        position: dict[str | None, int] = {name: i for i, name in enumerate(self.classes)}
        position[None] = -1
        return np.fromiter((position[cell] for cell in cells), dtype=np.int64, count=len(cells))

    def _check_lengths(self) -> None:
        columns: dict[str, object] = {
            "label": self.labels,
            "prediction": self.predictions,
            "confidence": self.confidence,
            "image": self.images,
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

    def _check_known(self, cells: Sequence[str | None], column: str) -> None:
        unknown = set(cells) - set(self.classes) - {None}
        if unknown:
            row = next(i for i, cell in enumerate(cells) if cell in unknown)
            raise ReportFault(
                f"{self.place(row, column)}: {cells[row]!r} is not among the "
                f"{len(self.classes)} classes"
            )

    def _check_confidence(self) -> None:
        if self.confidence is None:
            return
        sure: Floats = np.asarray(self.confidence, dtype=np.float64)
        made = np.fromiter((cell is not None for cell in self.predictions), bool, len(self))
        bad = np.flatnonzero(made & ~((sure >= -1e-6) & (sure <= 1 + 1e-6)))
        if bad.size:
            row = int(bad[0])
            raise ReportFault(
                f"{self.place(row, 'confidence')}: {sure[row]} is not a probability between 0 and 1"
            )
        _set(self, "confidence", np.where(made, np.clip(sure, 0, 1), np.nan))

    def _check_scores(self, column: str) -> None:
        scores: Scores | None = getattr(self, column)
        if scores is None:
            return
        wanted = (len(self), len(self.classes))
        if scores.shape != wanted:
            raise ReportFault(
                f"{self.name}: column {column!r} has shape {scores.shape}, not {wanted}"
            )
        step = max(1, _BLOCK_CELLS // max(1, wanted[1]))
        for start in range(0, wanted[0], step):
            bad = ~(scores[start : start + step] < np.inf)
            if bad.any():
                row, position = (int(i) for i in np.argwhere(bad)[0])
                raise ReportFault(
                    f"{self.place(start + row, column)}, class {self.classes[position]!r}: "
                    f"{scores[start + row, position]} is not a score"
                )

    def _check_neighbours(self) -> None:
        if self.neighbour_ids is None:
            for column in ("neighbour_labels", "neighbour_scores", "neighbour_images"):
                if getattr(self, column) is not None:
                    raise ReportFault(f"{self.name}: {column!r} is given without 'neighbour_ids'")
            return
        for column in ("neighbour_labels", "neighbour_scores", "neighbour_images"):
            cells = getattr(self, column)
            if cells is None:
                continue
            for row, (ids, others) in enumerate(zip(self.neighbour_ids, cells, strict=True)):
                if len(ids) != len(others):
                    raise ReportFault(
                        f"{self.place(row, column)}: {len(others)} cells for {len(ids)} neighbours"
                    )
        if self.neighbour_scores is not None:
            for row, (ids, near) in enumerate(
                zip(self.neighbour_ids, self.neighbour_scores, strict=True)
            ):
                for name, score in zip(ids, near, strict=True):
                    if name is not None and not np.isfinite(score):
                        raise ReportFault(
                            f"{self.place(row, 'neighbour_scores')}: {score} is not a similarity"
                        )


def require_unique_ids(ids: Sequence[str]) -> None:
    """Refuse ids that are empty or occur twice, naming the first.

    Raises:
        ReportFault: an id is not a non-empty string, or a second row has it too.
    """
    if len(set(ids)) == len(ids) and all(isinstance(i, str) and i for i in ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not isinstance(name, str) or not name:
            raise ReportFault(f"row {row + 1}, column 'id': {name!r} is not a non-empty string")
        if name in first:
            raise ReportFault(
                f"row {row + 1}, column 'id': {name!r} is also the id of row {first[name] + 1}"
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
