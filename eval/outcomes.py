"""What a report needs of predictions, small enough to hold for millions of rows.

A score matrix of 1,000,000 rows and 1,000 classes is 4 GB; what the figures need of it is the rank
of each label and the best class of each branch. So scores are looked at block by block and let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from eval.arrays import Bools, Floats, Ints
from eval.errors import ReportFault
from eval.metrics import best_classes, label_ranks
from eval.predicted import Predictions, require_unique_ids
from eval.predictions import PredictionFile, to_table


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The N rows that have both a label and a prediction, reduced to what is reported.

    Attributes:
        name: the run's name.
        classes: (C,) names.
        train_counts: (C,) training rows of each class, or None.
        labels: (N,) class index.
        predictions: (N,) class index.
        confidence: (N,) probability of the prediction, or None.
        label_rank: (N,) position of the label among the scores, 0 first; None without scores.
        base: (N,) prediction of the base branch, -1 for none; None without its scores.
        retrieval: (N,) prediction of the retrieval branch, -1 for none; None without its scores.
        purity: (N,) share of a row's neighbours that have its label, NaN without neighbours; or
            None where there are no neighbour labels.
        rows: (N,) table of id, image and neighbours, without scores.
        total: rows before any was left out.
        unlabelled: rows left out because their label is unknown.
        unpredicted: labelled rows left out because no prediction was made.
        image_folder: where image paths start.
        metadata: provenance.
    """

    name: str
    classes: tuple[str, ...]
    train_counts: Ints | None
    labels: Ints
    predictions: Ints
    confidence: Floats | None
    label_rank: Ints | None
    base: Ints | None
    retrieval: Ints | None
    purity: Floats | None
    rows: pa.Table
    total: int
    unlabelled: int
    unpredicted: int
    image_folder: str | None
    metadata: Mapping[str, object]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> Bools:
        """(N,) whether the prediction is the label."""
        right: Bools = self.predictions == self.labels
        return right


def reduce_predictions(source: Predictions | PredictionFile) -> Outcomes:
    """Reduce predictions in memory, or a prediction file block by block.

    Raises:
        ReportFault: as reading the file does, or an id that occurs twice in it.
    """
    if isinstance(source, Predictions):
        return _join([_reduce(source)])
    return _join(_reduce(block) for block in source.blocks())


@dataclass(frozen=True, eq=False)
class _Part:
    """The reduction of one block, with the rows that are left out still in."""

    block: Predictions
    labels: Ints
    predictions: Ints
    confidence: Floats | None
    label_rank: Ints | None
    base: Ints | None
    retrieval: Ints | None
    purity: Floats | None
    table: pa.Table


def _reduce(block: Predictions) -> _Part:
    labels, given = block.indices(block.label_cells), block.indices(block.predictions)
    ranks = None
    if block.scores is not None:
        # Unlabelled rows get a rank too, of class 0; they are left out below.
        ranks = label_ranks(block.scores, np.maximum(labels, 0))
    return _Part(
        block=Predictions(
            name=block.name,
            ids=(),
            labels=(),
            predictions=(),
            classes=block.classes,
            train_counts=block.train_counts,
            image_folder=block.image_folder,
            metadata=block.metadata,
        ),
        labels=labels,
        predictions=given,
        confidence=_confidence(block, given),
        label_rank=ranks,
        base=None if block.base_scores is None else best_classes(block.base_scores),
        retrieval=None if block.retrieval_scores is None else best_classes(block.retrieval_scores),
        purity=_purity(block),
        table=to_table(block, scores=False),
    )


def _join(parts: Iterable[_Part]) -> Outcomes:
    held = list(parts)
    if not held:
        raise ReportFault("the prediction file has no rows")
    first = held[0].block
    table = pa.concat_tables([part.table for part in held])
    if len(held) > 1:
        require_unique_ids(table.column("id").to_pylist())

    def joined(name: str) -> Ints | None:
        columns = [getattr(part, name) for part in held]
        if any(column is None for column in columns):
            return None
        return np.concatenate(columns)

    labels = np.concatenate([part.labels for part in held])
    given = np.concatenate([part.predictions for part in held])
    kept = (labels >= 0) & (given >= 0)

    def selected(name: str) -> Ints | None:
        column = joined(name)
        return None if column is None else column[kept]

    def selected_floats(name: str) -> Floats | None:
        column = joined(name)
        return None if column is None else column[kept].astype(np.float64)

    counts = first.train_counts
    return Outcomes(
        name=first.name,
        classes=tuple(first.classes),
        train_counts=None if counts is None else counts.astype(np.int64),
        labels=labels[kept],
        predictions=given[kept],
        confidence=selected_floats("confidence"),
        label_rank=selected("label_rank"),
        base=selected("base"),
        retrieval=selected("retrieval"),
        purity=selected_floats("purity"),
        rows=table.filter(pa.array(kept)),
        total=len(labels),
        unlabelled=int(np.count_nonzero(labels < 0)),
        unpredicted=int(np.count_nonzero((labels >= 0) & (given < 0))),
        image_folder=first.image_folder,
        metadata=first.metadata,
    )


def _confidence(block: Predictions, given: Ints) -> Floats | None:
    """The column, or the predicted class's score where every row of scores is a distribution."""
    if block.confidence is not None:
        return np.asarray(block.confidence, dtype=np.float64)
    if block.scores is None or not len(block):
        return None
    sums = block.scores.sum(axis=1)
    if block.scores.min() < 0 or not np.allclose(sums, 1, atol=1e-3):
        return None
    picked = np.take_along_axis(block.scores, np.maximum(given, 0)[:, None], axis=1)[:, 0]
    sure: Floats = np.where(given >= 0, picked.astype(np.float64), np.nan)
    return np.clip(sure, 0, 1)


def _purity(block: Predictions) -> Floats | None:
    if block.neighbour_labels is None or block.neighbour_ids is None:
        return None
    purity = np.full(len(block), np.nan)
    for row, (label, names, near) in enumerate(
        zip(block.label_cells, block.neighbour_ids, block.neighbour_labels, strict=True)
    ):
        there = [one for name, one in zip(names, near, strict=True) if name is not None]
        if label is not None and there:
            purity[row] = sum(one == label for one in there) / len(there)
    return purity
