"""The figures of a method over several seeds, each with an interval over the test rows.

Letters of shapes: N test rows, S seeds, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eval.arrays import Bools, Floats, Ints, Scores
from eval.binomial import clopper_pearson_interval
from eval.bootstrap import resample_accuracies, widened_interval
from eval.calibration import expected_calibration_error

THIRDS = ("head", "mid", "tail")
MOST_SEEDS = 16
BINS = 15

_RESAMPLES = 1000
_BLOCK_CELLS = 1 << 22  # resampled rows held together

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class SeededPredictions:
    """What a method said of N test rows under S seeds.

    Attributes:
        predicted: (S, N) class indices, -1 where it could name none.
        confidence: (S, N) the probabilities of those classes.
    """

    predicted: Ints
    confidence: Floats

    @classmethod
    def of(cls, probabilities: list[Floats] | list[Scores]) -> SeededPredictions:
        """Take the likeliest class, the first of equal ones, from S arrays (N, C)."""
        return cls(
            np.stack([one.argmax(axis=1) for one in probabilities]),
            np.stack([one.max(axis=1).astype(np.float64) for one in probabilities]),
        )


@dataclass(frozen=True)
class Figures:
    """Means over the seeds; None where a group has no class with test rows.

    Attributes:
        values: ``top1``, ``macro``, ``head``, ``mid``, ``tail`` and ``ece``, in [0, 1].
        intervals: 95 % over the test rows, of each value that there is.
    """

    values: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]


def thirds(counts: Ints) -> Bools:
    """Give (3, C) masks of the head, the middle and the tail of the classes.

    Classes are ordered by training images, most first, ties by class number; where C is no multiple
    of three, the first thirds are larger by one.

    >>> thirds(np.array([5, 9, 1, 5])).astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    """
    masks = np.zeros((3, len(counts)), np.bool_)
    for mask, members in zip(
        masks, np.array_split(np.argsort(-counts, kind="stable"), 3), strict=True
    ):
        mask[members] = True
    return masks


def seed_figures(
    truth: Ints,
    said: SeededPredictions,
    counts: Ints,
    *,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Figures:
    """Compute the figures of one method.

    The interval of a mean over seeds is that of drawing other test rows: each resample is the same
    for all seeds. Where every row of a figure is right (or none), it is the exact one.

    Args:
        truth: (N,) classes of the test rows, N at least 1.
        said: under S seeds, at most 16.
        counts: (C,) training images of each class.
        resamples: of the bootstrap.
        seed: of the resampling.

    Raises:
        ReportFault: no rows, or shapes that do not match.
    """
    classes = len(counts)
    hits = said.predicted == truth  # (S, N)
    sets = np.concatenate([np.ones((1, classes), np.bool_), thirds(counts)])
    drawn = resample_accuracies(truth, hits.T, sets, resamples=resamples, seed=seed)
    support = np.bincount(truth, minlength=classes)
    values: dict[str, float | None] = {"top1": float(hits.mean())}
    intervals: dict[str, Interval | None] = {
        "top1": _interval(drawn.share.mean(axis=1), float(hits.mean()), len(truth))
    }
    right = np.stack([np.bincount(truth[hit], minlength=classes) for hit in hits]).mean(axis=0)
    for place, name in enumerate(("macro", *THIRDS)):
        members = sets[place] & (support > 0)
        values[name] = intervals[name] = None
        if members.any():
            value = float((right[members] / support[members]).mean())
            samples = drawn.macro[:, :, place].mean(axis=1)
            values[name] = value
            intervals[name] = _interval(samples, value, int(support[members].sum()))
    errors = [
        expected_calibration_error(sure, hit, BINS)
        for sure, hit in zip(said.confidence, hits, strict=True)
    ]
    values["ece"] = ece = float(np.mean([error or 0.0 for error in errors]))
    drawn_errors = _resampled_ece(said.confidence, hits, resamples, seed)
    intervals["ece"] = widened_interval(drawn_errors, ece)
    return Figures(values, intervals)


def _interval(samples: Floats, value: float, rows: int) -> Interval:
    if value in (0.0, 1.0):
        # A bootstrap of rows that all have one outcome would say that it is certain.
        low, high = clopper_pearson_interval(round(value) * rows, rows, 0.95)
        return float(low), float(high)
    return widened_interval(samples, value) or (value, value)


def _resampled_ece(confidence: Floats, hits: Bools, resamples: int, seed: int) -> Floats:
    """Give the (B,) mean over the seeds of each resample's calibration error."""
    seeds, rows = hits.shape
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    gaps = np.zeros((rows, seeds, BINS))
    for number in range(seeds):
        gaps[np.arange(rows), number, bins[number]] = hits[number] - confidence[number]
    flat = gaps.reshape(rows, -1)
    draw = np.random.default_rng(seed)
    parts = []
    step = max(1, _BLOCK_CELLS // rows)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        times = draw.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(np.float64)
        sums = np.abs(times @ flat).reshape(size, seeds, BINS).sum(axis=2) / rows
        parts.append(sums.mean(axis=1))
    return np.concatenate(parts)
