"""The table of classes: for the page, and as ``per_class.csv``.

Columns of the file: run, class_index (position in the run's list of classes), class, group,
train_rows, test_rows, predicted_rows, correct, recall, precision, f1, base_recall,
retrieval_recall, main_confusion (the class that its rows are most often mistaken for), and
main_confusion_rows. A rate with nothing to be a rate of is an empty cell.

Text that a spreadsheet would run as a formula gets a leading apostrophe, see
:mod:`eval.csv_texts`; ``class_index`` tells a program which class it is without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.csv_texts import PeoplesCsv
from eval.evaluation import Evaluation
from eval.groups import GROUP_NAMES
from eval.metrics import ClassScores
from retrieval_index.files import replace_file

COLUMNS = (
    "run",
    "class_index",
    "class",
    "group",
    "train_rows",
    "test_rows",
    "predicted_rows",
    "correct",
    "recall",
    "precision",
    "f1",
    "base_recall",
    "retrieval_recall",
    "main_confusion",
    "main_confusion_rows",
)


@dataclass(frozen=True)
class ClassRow:
    """One class of one run; None where a rate or a count is not known."""

    index: int
    name: str
    group: str | None
    train_rows: int | None
    test_rows: int
    predicted_rows: int
    correct: int
    recall: float | None
    precision: float | None
    f1: float | None
    base_recall: float | None
    retrieval_recall: float | None
    confusion: str | None
    confusion_rows: int


def class_rows(evaluation: Evaluation) -> list[ClassRow]:
    """The rows of a run's table, in the order of its classes."""
    outcomes, scores, groups = evaluation.outcomes, evaluation.fused, evaluation.groups
    count = len(outcomes.classes)
    pairs = evaluation.confusions
    wrong = np.flatnonzero(pairs.labels != pairs.predictions)
    labels, first = np.unique(pairs.labels[wrong], return_index=True)
    mistaken = np.full(count, -1, dtype=np.int64)
    times = np.zeros(count, dtype=np.int64)
    mistaken[labels] = pairs.predictions[wrong[first]]
    times[labels] = pairs.counts[wrong[first]]
    recall, precision, f1 = (
        _rates(values) for values in (scores.recall, scores.precision, scores.f1)
    )
    base, retrieval = _recall(evaluation.base, count), _recall(evaluation.retrieval, count)
    return [
        ClassRow(
            index=i,
            name=name,
            group=None if groups is None else GROUP_NAMES[groups.index[i]],
            train_rows=None if outcomes.train_counts is None else int(outcomes.train_counts[i]),
            test_rows=int(scores.support[i]),
            predicted_rows=int(scores.predicted[i]),
            correct=int(scores.correct[i]),
            recall=recall[i],
            precision=precision[i],
            f1=f1[i],
            base_recall=base[i],
            retrieval_recall=retrieval[i],
            confusion=outcomes.classes[mistaken[i]] if mistaken[i] >= 0 else None,
            confusion_rows=int(times[i]),
        )
        for i, name in enumerate(outcomes.classes)
    ]


def write_per_class(evaluations: Sequence[Evaluation], path: str | Path) -> None:
    """Write ``per_class.csv``: a line for each class of each run."""
    with replace_file(path) as draft, open(draft, "w", newline="", encoding="utf-8") as handle:
        writer = PeoplesCsv(handle, "\r\n")
        writer.write(COLUMNS)
        for evaluation in evaluations:
            for row in class_rows(evaluation):
                writer.write(
                    [
                        evaluation.outcomes.name,
                        row.index,
                        row.name,
                        row.group,
                        row.train_rows,
                        row.test_rows,
                        row.predicted_rows,
                        row.correct,
                        row.recall,
                        row.precision,
                        row.f1,
                        row.base_recall,
                        row.retrieval_recall,
                        row.confusion,
                        row.confusion_rows,
                    ]
                )


def _rates(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _recall(scores: ClassScores | None, count: int) -> list[float | None]:
    return [None] * count if scores is None else _rates(scores.recall)
