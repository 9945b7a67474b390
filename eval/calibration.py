"""Whether a confidence of 80 % is right 80 % of the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, Ints, as_flags, as_probabilities, require_same_length
from eval.errors import ReportFault


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in bins of equal width.

    Attributes:
        edges: (B + 1,) bin bounds from 0 to 1; a bin holds its upper bound, not its lower one,
            save the first, which holds 0.
        counts: (B,) rows of the bin.
        confidence: (B,) mean confidence; NaN in an empty bin.
        accuracy: (B,) share of right rows; NaN in an empty bin.
        error: expected calibration error in [0, 1]; None where there are no rows.
        by_chance: the error to be expected of so many rows though every confidence be exactly
            right; None where there are no rows. With few rows in a bin, luck alone leaves a gap.
    """

    edges: Floats
    counts: Ints
    confidence: Floats
    accuracy: Floats
    error: float | None
    by_chance: float | None


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15) -> Reliability:
    """Reliability diagram and expected calibration error of top-1 predictions.

    The error is the mean over the rows of |accuracy - confidence| of their bin; Naeini et al.,
    AAAI 2015; Guo et al., ICML 2017 (arXiv 1706.04599), equation 3. A bin's gap by chance is
    taken for normal, with the variance p (1 - p) of every row's outcome: its mean size is
    sqrt(2 / pi) standard deviations.

    Args:
        confidence: (N,) probability given to the predicted class, in [0, 1].
        correct: (N,) whether the prediction is right.
        bins: number of bins of equal width, at least 1.

    Raises:
        ReportFault: lengths differ, a confidence is NaN or outside [0, 1], or no bins.

    >>> diagram = reliability([0.95, 0.85, 0.15], np.array([True, False, False]), bins=2)
    >>> diagram.counts
    array([1, 2])
    >>> diagram.error  # (1 * |0 - 0.15| + 2 * |0.5 - 0.9|) / 3
    0.3166...
    >>> diagram.by_chance  # sqrt(2 / pi) * (sqrt(.1275) + sqrt(.0475 + .1275)) / 3
    0.2062...
    """
    if bins < 1:
        raise ReportFault(f"bins must be at least 1, not {bins}")
    sure = as_probabilities(confidence, "confidence")
    right = as_flags(correct, "correct")
    require_same_length(confidence=sure, correct=right)
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins).astype(np.int64)
    mean = np.full(bins, np.nan)
    hit = np.full(bins, np.nan)
    filled = counts > 0
    np.divide(np.bincount(bin_of, weights=sure, minlength=bins), counts, out=mean, where=filled)
    np.divide(np.bincount(bin_of, weights=right, minlength=bins), counts, out=hit, where=filled)
    error = by_chance = None
    if len(sure):
        gaps = np.abs(hit[filled] - mean[filled])
        error = float(np.sum(counts[filled] * gaps) / len(sure))
        variances = np.bincount(bin_of, weights=sure * (1 - sure), minlength=bins)
        by_chance = float(np.sqrt(2 / np.pi * variances).sum() / len(sure))
    return Reliability(
        edges=edges,
        counts=counts,
        confidence=mean,
        accuracy=hit,
        error=error,
        by_chance=by_chance,
    )


def expected_calibration_error(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15
) -> float | None:
    """The error of :func:`reliability` alone; None where there are no rows.

    >>> expected_calibration_error([1.0, 1.0], np.array([True, True]))
    0.0
    """
    return reliability(confidence, correct, bins).error
