"""Bootstrap intervals of accuracies, without ever drawing a row.

Resampling N rows with replacement gives each kind of row a multinomial count. The rows that matter
to an accuracy are of few kinds (the class, and which methods got it right), so the counts are drawn
directly: the same distribution as the textbook loop, at a cost that does not grow with N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Bools, Floats, Ints, as_indices
from eval.errors import ReportFault
from eval.metrics import RECALL_FLOOR

_BLOCK_CELLS = 1 << 22  # resampled counts held together


@dataclass(frozen=True)
class Resampled:
    """Accuracies of each resample; every column saw the same rows, so differences are paired.

    Attributes:
        share: (B, M) share of right rows of each method.
        macro: (B, M, S) mean recall over the classes of each class set that have rows in the
            resample; NaN where none has.
        harmonic: (B, M) harmonic mean of the recalls of all classes that have rows in the
            resample, as :func:`eval.metrics.harmonic_mean` takes it.
    """

    share: Floats
    macro: Floats
    harmonic: Floats


def resample_accuracies(
    labels: npt.ArrayLike,
    hits: Bools,
    class_sets: Bools,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Resampled:
    """Draw the bootstrap distribution of accuracies and macro accuracies.

    Rows are resampled with replacement, over the whole test set (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13), so that a class with a single test row is
    sometimes absent, as it would be from another test set.

    Args:
        labels: (N,) class indices in [0, C), N at least 1.
        hits: (N, M) whether each method got the row right; M at most 16.
        class_sets: (S, C) masks of the classes that each macro accuracy averages.
        resamples: B, at least 1.
        seed: same seed, same result.

    Raises:
        ReportFault: no rows, too many methods, or shapes that do not match.

    >>> hits = np.array([[True], [True], [False], [True]])
    >>> drawn = resample_accuracies([0, 0, 1, 1], hits, np.ones((1, 2), bool), resamples=2000)
    >>> drawn.share.shape, drawn.macro.shape
    ((2000, 1), (2000, 1, 1))
    >>> abs(float(drawn.share.mean()) - 0.75) < 0.02
    True
    """
    truth = as_indices(labels, "labels")
    if hits.ndim != 2 or len(hits) != len(truth) or not len(truth):
        raise ReportFault(f"hits of shape {hits.shape} do not fit {len(truth)} labels")
    methods, classes = hits.shape[1], class_sets.shape[1]
    if methods > 16:
        raise ReportFault(f"{methods} methods are compared at once; at most 16 can be")
    kinds, counts = _kinds(truth, hits)
    kind_class, kind_hits = kinds >> 16, (kinds[:, None] >> np.arange(methods)) & 1 == 1
    present, starts = np.unique(kind_class, return_index=True)
    if present[0] < 0 or present[-1] >= classes:
        raise ReportFault(f"labels must lie within the {classes} classes of class_sets")
    members = class_sets[:, present].astype(np.float64)
    generator = np.random.default_rng(seed)
    share = np.empty((resamples, methods))
    macro = np.full((resamples, methods, len(class_sets)), np.nan)
    harmonic = np.empty((resamples, methods))
    step = max(1, _BLOCK_CELLS // len(counts))
    for begin in range(0, resamples, step):
        block = slice(begin, min(begin + step, resamples))
        size = block.stop - block.start
        drawn = generator.multinomial(len(truth), counts / len(truth), size=size)
        rows = np.add.reduceat(drawn, starts, axis=1)
        there = rows > 0
        seen = there.astype(np.float64) @ members.T
        for method in range(methods):
            right = np.add.reduceat(drawn * kind_hits[:, method], starts, axis=1)
            share[block, method] = right.sum(axis=1) / len(truth)
            recall = np.divide(right, rows, out=np.zeros(rows.shape), where=there)
            total = recall @ members.T
            np.divide(total, seen, out=macro[block, method], where=seen > 0)
            inverse = np.where(there, 1 / np.maximum(recall, RECALL_FLOOR), 0).sum(axis=1)
            harmonic[block, method] = there.sum(axis=1) / inverse
    return Resampled(share=share, macro=macro, harmonic=harmonic)


def percentile_interval(samples: Floats, confidence: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of a bootstrap distribution (B,); NaN samples are left out.

    Returns:
        (low, high), or None where every sample is NaN.

    >>> percentile_interval(np.arange(5.0), confidence=0.5)
    (1.0, 3.0)
    """
    known = samples[~np.isnan(samples)]
    if not known.size:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def widened_interval(
    samples: Floats, value: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Percentile interval, made wider where it leaves the value itself out.

    Resamples lack classes of a single row, which moves averages over classes to one side, and are
    noisier than the rows themselves, which moves calibration errors upwards.

    Returns:
        (low, high), or None where every sample is NaN.

    >>> widened_interval(np.arange(5.0), 3.5, confidence=0.5)
    (1.0, 3.5)
    """
    interval = percentile_interval(samples, confidence)
    return interval and (min(interval[0], value), max(interval[1], value))


def _kinds(truth: Ints, hits: Bools) -> tuple[Ints, Ints]:
    """The distinct (class, pattern of hits), coded as class * 2^16 + pattern, with their counts."""
    bits = np.left_shift(np.int64(1), np.arange(hits.shape[1], dtype=np.int64))
    codes = (truth << 16) + hits @ bits
    kinds, counts = np.unique(codes, return_counts=True)
    return kinds, counts.astype(np.int64)
