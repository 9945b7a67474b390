"""Accuracy and its relatives, over all rows and class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, Ints, as_indices, require_same_length
from eval.errors import ReportFault

_BLOCK_CELLS = 1 << 18  # score cells looked at together; they stay in the processor's cache


RECALL_FLOOR = 1e-3
"""What a recall of 0 counts as in the harmonic mean."""


@dataclass(frozen=True)
class ClassScores:
    """Counts and rates of every class; a rate is NaN where it has nothing to be a rate of.

    Attributes:
        support: (C,) test rows of the class.
        predicted: (C,) rows that were given the class.
        correct: (C,) rows of the class that were given it.
        recall: (C,) correct / support; NaN for a class without test rows.
        precision: (C,) correct / predicted; NaN for a class that was never predicted.
        f1: (C,) 2 correct / (support + predicted); NaN for a class without test rows.
    """

    support: Ints
    predicted: Ints
    correct: Ints
    recall: Floats
    precision: Floats
    f1: Floats


@dataclass(frozen=True)
class Confusions:
    """The pairs (label, prediction) that occur, most frequent first; ties in class order.

    Attributes:
        labels: (P,) true class.
        predictions: (P,) predicted class; equal to the label for rows that are right.
        counts: (P,) rows of the pair, at least 1.
    """

    labels: Ints
    predictions: Ints
    counts: Ints


def accuracy(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> float | None:
    """Share of rows whose prediction is their label; None where there are no rows.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    >>> accuracy([], []) is None
    True
    """
    truth, given = _pair(labels, predictions)
    return float(np.mean(truth == given)) if len(truth) else None


def label_ranks(scores: npt.NDArray[np.floating], labels: npt.ArrayLike) -> Ints:
    """Position of each row's label when its classes are sorted by (-score, class index).

    Works on blocks of rows, so that a memory-mapped score matrix is never in memory as a whole.

    Args:
        scores: (N, C) any real scores, higher is better; -inf is allowed, NaN is not looked for.
        labels: (N,) class indices in [0, C).

    Returns:
        (N,) ranks in [0, C); 0 means that the label has the best score.

    Raises:
        ReportFault: shapes do not match, or a label is outside the classes.

    >>> label_ranks(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), [2, 1])
    array([1, 1])
    """
    truth = as_indices(labels, "labels")
    if scores.ndim != 2 or len(scores) != len(truth):
        raise ReportFault(f"scores of shape {scores.shape} do not fit {len(truth)} labels")
    classes = scores.shape[1]
    _require_inside(truth, classes, "labels")
    ranks = np.zeros(len(truth), dtype=np.int64)
    step = max(1, _BLOCK_CELLS // max(1, classes))
    columns = np.arange(classes)
    for start in range(0, len(truth), step):
        block = np.asarray(scores[start : start + step])
        wanted = truth[start : start + step, None]
        own = np.take_along_axis(block, wanted, axis=1)
        ahead = np.count_nonzero(block > own, axis=1)
        # Ties are rare; the class index is compared only in the rows that have one.
        tied = block == own
        several = np.flatnonzero(np.count_nonzero(tied, axis=1) > 1)
        if several.size:
            earlier = tied[several] & (columns < wanted[several])
            ahead[several] += np.count_nonzero(earlier, axis=1)
        ranks[start : start + step] = ahead
    return ranks


def best_classes(scores: npt.NDArray[np.floating]) -> Ints:
    """The class of the highest score of each row (N, C), the first of a tie; -1 where all are -inf.

    >>> best_classes(np.array([[0.1, 0.9], [-np.inf, -np.inf], [0.5, 0.5]]))
    array([ 1, -1,  0])
    """
    best = np.zeros(len(scores), dtype=np.int64)
    if len(scores) and scores.shape[1]:
        best[:] = np.argmax(scores, axis=1)
        top = np.take_along_axis(np.asarray(scores), best[:, None], axis=1)[:, 0]
        best[np.isneginf(top)] = -1
    else:
        best[:] = -1
    return best


def top_k_accuracy(scores: npt.NDArray[np.floating], labels: npt.ArrayLike, k: int) -> float | None:
    """Share of rows whose label is among the k best scores; ties go to the lower class index.

    Args:
        scores: (N, C) real scores, higher is better.
        labels: (N,) class indices in [0, C).
        k: at least 1; a k of C or more gives 1.

    Returns:
        A share in [0, 1], or None where there are no rows.

    Raises:
        ReportFault: k below 1, or shapes that do not match.

    >>> top_k_accuracy(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), [2, 2], k=2)
    0.5
    """
    if k < 1:
        raise ReportFault(f"k must be at least 1, not {k}")
    ranks = label_ranks(scores, labels)
    return float(np.mean(ranks < k)) if len(ranks) else None


def class_scores(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> ClassScores:
    """Support, recall, precision and F1 of each class.

    Args:
        labels: (N,) class indices in [0, classes).
        predictions: (N,) class indices in [0, classes), or -1 for a row that was given no class.
        classes: number of classes C.

    Raises:
        ReportFault: an index is outside the classes, or the lengths differ.

    >>> scores = class_scores([0, 0, 1], [0, 1, 1], classes=3)
    >>> scores.recall
    array([0.5, 1. , nan])
    >>> scores.precision
    array([1. , 0.5, nan])
    """
    truth, given = _pair(labels, predictions)
    _require_inside(truth, classes, "labels")
    _require_inside(given, classes, "predictions", lowest=-1)
    support = np.bincount(truth, minlength=classes).astype(np.int64)
    predicted = np.bincount(given[given >= 0], minlength=classes).astype(np.int64)
    correct = np.bincount(truth[truth == given], minlength=classes).astype(np.int64)
    f1 = _ratio(2 * correct, support + predicted)
    f1[support == 0] = np.nan
    return ClassScores(
        support=support,
        predicted=predicted,
        correct=correct,
        recall=_ratio(correct, support),
        precision=_ratio(correct, predicted),
        f1=f1,
    )


def per_class_recall(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Floats:
    """Recall (C,) of each class; NaN, not 0, for a class without test rows.

    >>> per_class_recall([0, 0, 2], [0, 1, 2], classes=3)
    array([0.5, nan, 1. ])
    """
    return class_scores(labels, predictions, classes).recall


def macro_accuracy(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> float | None:
    """Mean recall of the classes that have test rows; None where no class has any.

    >>> macro_accuracy([0, 0, 0, 1], [0, 0, 1, 1], classes=5)  # (2/3 + 1) / 2
    0.833...
    """
    recall = per_class_recall(labels, predictions, classes)
    known = recall[~np.isnan(recall)]
    return float(np.mean(known)) if known.size else None


def harmonic_mean(recall: npt.ArrayLike, floor: float = RECALL_FLOOR) -> float | None:
    """Harmonic mean of recalls, which a single bad class pulls down; None where there are none.

    Recalls below ``floor`` count as ``floor``: otherwise one class with recall 0 would make the
    mean 0, whatever the others do. Harmonic mean and floor as in Du and Wu, "No One Left Behind"
    (CVPR 2023, arXiv 2303.03630).

    Args:
        recall: (C,) in [0, 1]; NaN, a class without test rows, is left out.
        floor: above 0.

    >>> round(harmonic_mean([1.0, 0.5, np.nan]), 4)  # 2 / (1 + 2)
    0.6667
    """
    values = np.asarray(recall, dtype=np.float64)
    known = values[~np.isnan(values)]
    return float(1 / np.mean(1 / np.maximum(known, floor))) if known.size else None


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Ints:
    """Counts (C, C) with the label in rows and the prediction in columns.

    It takes 8 C^2 bytes; :func:`confusions` gives the same without the zeros.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], classes=2)
    array([[1, 1],
           [0, 1]])
    """
    truth, given = _pair(labels, predictions)
    _require_inside(truth, classes, "labels")
    _require_inside(given, classes, "predictions")
    cells = np.bincount(truth * classes + given, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def confusions(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Confusions:
    """The pairs (label, prediction) that occur, with counts, sorted by (-count, label, prediction).

    Args:
        labels: (N,) class indices in [0, classes).
        predictions: (N,) class indices in [0, classes); rows with -1 (no class) are left out.
        classes: number of classes.

    >>> pairs = confusions([0, 0, 1, 1, 1], [1, 1, 1, 0, 1], classes=2)
    >>> list(zip(pairs.labels.tolist(), pairs.predictions.tolist(), pairs.counts.tolist()))
    [(0, 1, 2), (1, 1, 2), (1, 0, 1)]
    """
    truth, given = _pair(labels, predictions)
    _require_inside(truth, classes, "labels")
    _require_inside(given, classes, "predictions", lowest=-1)
    kept = given >= 0
    cells, counts = np.unique(truth[kept] * classes + given[kept], return_counts=True)
    order = np.lexsort((cells, -counts))
    cells, counts = cells[order], counts[order]
    return Confusions(
        labels=cells // max(1, classes),
        predictions=cells % max(1, classes),
        counts=counts.astype(np.int64),
    )


def _pair(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> tuple[Ints, Ints]:
    truth, given = as_indices(labels, "labels"), as_indices(predictions, "predictions")
    require_same_length(labels=truth, predictions=given)
    return truth, given


def _require_inside(indices: Ints, classes: int, name: str, *, lowest: int = 0) -> None:
    outside = np.flatnonzero((indices < lowest) | (indices >= classes))
    if outside.size:
        row = int(outside[0])
        raise ReportFault(
            f"{name}, row {row}: class {indices[row]} is outside the {classes} classes"
        )


def _ratio(part: Ints, whole: Ints) -> Floats:
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
