"""Whether it pays to hear what the neighbours are called and how they are described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from rac.branches.base import Integers
from rac.fusion import Heard, fit_fusion, fused

TextMode = Literal["auto", "on", "off"]
"""``auto`` hears the text branch where held-out rows are answered better with it."""

#: Most rows times classes that one decision goes over; of more rows every second, third, ... asks.
MOST_NUMBERS = 2**25


def every(rows: int, classes: int) -> slice:
    """Give which of N rows are asked: all, or evenly spread ones where they are too many.

    >>> every(3000, 100), every(10**6, 100)
    (slice(None, None, 1), slice(None, None, 3))
    """
    return slice(None, None, max(1, -(-rows * classes // MOST_NUMBERS)))


def text_pays(heard: Sequence[Heard], folds: Integers, counts: Integers) -> bool:
    """Tell whether a fusion with the text branch answers rows better that it was not fitted to.

    Each fold of the training rows is judged by fusions that were fitted to the other folds and the
    validation rows, and the validation rows by those fitted to the training rows. The text branch
    pays where in both kinds of rows the log-loss falls and the share of right answers does not,
    class-balanced.

    Args:
        heard: the training rows, and the validation rows where there are any; with text.
        folds: ``(N,)`` fold of each training row.
        counts: ``(C,)`` training rows of each class.
    """
    training, *validation = heard
    asking = np.zeros(len(folds), dtype=np.bool_)
    asking[every(*training.base.shape)] = True
    training = _weighed(training, asking)
    by_fold = [
        _judged([_weighed(training, folds != fold), *validation], asked, counts)
        for fold in np.unique(folds)
        if (asked := _weighed(training, folds == fold)).weights.any()
    ]
    by_set = [sum(by_fold, np.zeros((2, 2)))] if by_fold else []
    by_set += [_judged([training], asked, counts) for asked in validation]
    return bool(by_set) and all(loss[0] < loss[1] and hits[0] >= hits[1] for loss, hits in by_set)


def _weighed(heard: Heard, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Heard:
    return replace(heard, weights=np.where(kept, heard.weights, 0.0))


def _judged(
    known: Sequence[Heard], asked: Heard, counts: Integers
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Sums of log-loss and of right answers (rows), with text and without (columns)."""
    answer = np.zeros((2, 2))
    kept = np.flatnonzero(asked.weights)
    truth, weights = asked.truth[kept], asked.weights[kept]
    for column, with_text in enumerate((True, False)):
        sets = known if with_text else [replace(one, text=None) for one in known]
        rows = asked if with_text else replace(asked, text=None)
        said = fused(fit_fusion(sets, counts), rows, counts)[kept]
        answer[0, column] = -weights @ said[np.arange(len(said)), truth]
        answer[1, column] = weights @ (said.argmax(axis=1) == truth)
    return answer
