"""What is chosen for a baseline, on rows that it was not fitted to and that are not test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.arrays import Ints
from eval.baselines.base import Baseline, Examples, Predictor, Prompts
from eval.baselines.folds import ALWAYS_TRAIN, image_folds
from eval.baselines.temperature import best_temperature, log_loss
from eval.metrics import macro_accuracy

FOLDS = 3


@dataclass(frozen=True)
class Tuned:
    """What was chosen.

    Attributes:
        setting: the candidate of the best macro accuracy; of equal ones the one of the lower
            log-loss, then the first.
        temperature: of its scores.
        macro: its macro accuracy on the held-out rows; None where there are none.
    """

    setting: Any
    temperature: float
    macro: float | None


def tune(
    baseline: Baseline[Any],
    train: Examples,
    validation: Examples | None,
    prompts: Prompts | None,
    counts: Ints,
    seed: int,
) -> Tuned:
    """Choose a candidate and its temperature.

    On the validation rows where there are any; otherwise each training row is judged by a fit that
    did not see its image (three folds).

    Args:
        baseline: the method.
        train: rows to fit.
        validation: rows that are not fitted; None or empty for cross-fitting.
        prompts: of the C classes, or None.
        counts: (C,) training images of each class.
        seed: of folds and fits.
    """
    settings = baseline.grid()
    if validation is not None and len(validation):
        truth = validation.classes
        fitted = baseline.fit_all(train, prompts, counts, settings, seed)
        scores = [predictor(validation.queries) for predictor in fitted]
    else:
        truth, scores = _cross_fitted(baseline, settings, train, prompts, counts, seed)
    if not len(truth):
        return Tuned(settings[0], 1.0, None)
    return _best(settings, scores, truth)


def _best(
    settings: Sequence[Any], scores: Sequence[npt.NDArray[np.floating]], truth: Ints
) -> Tuned:
    found = []
    for setting, score in zip(settings, scores, strict=True):
        macro = macro_accuracy(truth, score.argmax(axis=1), score.shape[1])
        temperature = best_temperature(score, truth)
        loss = log_loss(score, truth, temperature)
        found.append((-(macro or 0.0), loss, Tuned(setting, temperature, macro)))
    return min(found, key=lambda one: one[:2])[2]


def _cross_fitted(
    baseline: Baseline[Any],
    settings: Sequence[Any],
    train: Examples,
    prompts: Prompts | None,
    counts: Ints,
    seed: int,
) -> tuple[Ints, list[npt.NDArray[np.floating]]]:
    """Give the classes (M,) of the held-out rows and each candidate's (M, C) scores of them."""
    fold = image_folds(train.classes, train.images, FOLDS, seed)
    order: list[npt.NDArray[np.int64]] = []
    parts: list[list[npt.NDArray[np.floating]]] = [[] for _ in settings]
    for number in np.unique(fold[fold != ALWAYS_TRAIN]):
        kept, held = train.pick(fold != number), np.flatnonzero(fold == number)
        queries = train.pick(held).queries
        fitted: list[Predictor] = baseline.fit_all(
            kept, prompts, kept.counts(len(counts)), settings, seed
        )
        order.append(held)
        for part, predictor in zip(parts, fitted, strict=True):
            part.append(predictor(queries))
    if not order:
        return np.zeros(0, np.int64), []
    return train.classes[np.concatenate(order)], [np.concatenate(part) for part in parts]
