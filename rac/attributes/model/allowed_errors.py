"""Allowed errors: how many predicted cells may be wrong for the promised precision to be kept.

Letters of shapes: C candidate rules.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammaln  # type: ignore[import-untyped]

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def allowed_errors(cells: IntArray, filled: IntArray, target: float, confidence: float) -> IntArray:
    """Give how many of the predicted cells may be wrong, for each of C rules.

    Were more than ``(1 - target) * filled`` of the filled cells wrong, the predicted would hold
    as few wrong ones as that with a chance of at most ``1 - confidence``. Both a lot of the stated
    size (the prediction bound of Thatcher 1964) and an endless one (Clopper and Pearson 1934) are
    asked, and both must agree.

    Args:
        cells: (C,) predicted cells above the rule's threshold, at least 1.
        filled: (C,) cells that the promise is about, at least 1.
        target: in (0, 1).
        confidence: in (0, 1).

    Returns:
        (C,) int64; -1 where not even predicted cells that are all right would do.

    >>> allowed_errors(np.array([58, 59]), np.array([10**9, 10**9]), 0.95, 0.95).tolist()
    [-1, 0]
    >>> allowed_errors(np.array([1000]), np.array([1000]), 0.95, 0.95).tolist()
    [35]
    """
    # The least number of wrong cells among the filled at which the promise is broken.
    broken = np.floor((1 - target) * filled + 1e-9).astype(np.int64) + 1
    # What may be wrong only grows dearer: halve the gap between what will do and what will not.
    allowed, barred = np.full(len(cells), -1, np.int64), cells.copy()
    while (open_ones := np.flatnonzero(barred - allowed > 1)).size:
        tried = (allowed[open_ones] + barred[open_ones]) // 2
        passed = _vouch(
            tried, cells[open_ones], filled[open_ones], broken[open_ones], target, 1 - confidence
        )
        allowed[open_ones[passed]] = tried[passed]
        barred[open_ones[~passed]] = tried[~passed]
    return allowed


def _vouch(
    wrong: IntArray, cells: IntArray, filled: IntArray, broken: IntArray, target: float, risk: float
) -> Bools:
    """Say whether so many wrong ones of the predicted cells, fewer than all, would still do."""
    # As clopper_pearson_lower(cells - wrong, cells, 1 - risk) >= target, without inverting it.
    passed = np.asarray(betainc(cells - wrong, wrong + 1, target) <= risk)
    there = np.flatnonzero(passed)
    if len(there):
        passed[there] = _few_seen(wrong[there], cells[there], filled[there], broken[there]) <= risk
    return passed


def _few_seen(seen: IntArray, cells: IntArray, filled: IntArray, broken: IntArray) -> Doubles:
    """Give the chance to see at most ``seen`` wrong cells where the promise is just broken.

    Predicted and filled cells are one lot, dealt at random into the two; how many of the wrong ones
    come among the predicted is hypergeometric.
    """
    wrong, lot = seen + broken, cells + filled
    right = lot - wrong
    # The chance of exactly ``seen``, then those of fewer, each by its ratio to the one above it.
    likeliest = (
        _log_choose(wrong, seen) + _log_choose(right, cells - seen) - _log_choose(lot, cells)
    )
    above = seen[:, None] - np.arange(seen.max(), dtype=np.float64)
    possible = above > np.maximum(0, wrong - filled)[:, None]
    ratios = above * (right - cells)[:, None] + above * above
    ratios /= (wrong[:, None] - above + 1) * (cells[:, None] - above + 1)
    fewer = np.cumprod(np.where(possible, ratios, 0.0), axis=1).sum(axis=1)
    return np.asarray(np.where(wrong > lot, 0.0, np.exp(likeliest) * (1 + fewer)))


def _log_choose(total: IntArray, chosen: IntArray) -> Doubles:
    return np.asarray(gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1))
