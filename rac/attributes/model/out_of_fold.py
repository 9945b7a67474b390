"""Out-of-fold predictions: known cells, predicted by what had not seen them.

Letters of shapes: J predicted rows, S answers (the values, and "not applicable" behind them where
that can be the answer), F sources of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import OUTSIDE
from rac.attributes.evidence.fitted import FittedEvidence, FittedSources
from rac.attributes.model.evidence_fusion import EvidenceFusion, FusionFit
from rac.attributes.model.precision_control import shift_probability, value_offsets
from rac.attributes.task.attribute_task import AttributeTask
from rac.attributes.task.folds import FOLDS

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

_WEIGHED_ROWS = 2000
_WEIGHED_NUMBERS = 40_000


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """What models that had not seen them made of known cells.

    Attributes:
        places: (J,) which of the training rows.
        truth: (J,) answers.
        best: (J,) the likeliest answer.
        probability: (J,) of it, corrected by its offset.
        shares: (J, S) probabilities of all answers.
        raw: (J,) probability of the likeliest answer, as it was before its offset.
        fusion: the weights fitted on all of them.
    """

    places: IntArray
    truth: IntArray
    best: IntArray
    probability: Doubles
    shares: Doubles
    raw: Doubles
    fusion: EvidenceFusion

    @property
    def right(self) -> BoolArray:
        """(J,) whether the likeliest answer is the true one."""
        return np.asarray(self.best == self.truth)


def predict_out_of_fold(task: AttributeTask, sources: FittedSources) -> OutOfFoldPredictions:
    """Predict known cells, fold by fold, by evidence, weights and offsets without the fold.

    Args:
        task: of the attribute.
        sources: fitted to the task; what is used of them is :meth:`FittedSources.without` a fold.
    """
    answer_count = task.training.answer_count
    places = np.flatnonzero(task.training.predicted)
    # Fold after fold, so that each is a slice.
    places = places[np.argsort(task.fold_of[places], kind="stable")]
    fold_of = task.fold_of[places]
    ends = np.searchsorted(fold_of, np.arange(FOLDS + 1))
    parts = [slice(*ends[fold : fold + 2].tolist()) for fold in range(FOLDS)]
    rows = task.asked_rows(places, sources.columns)
    scores = np.zeros((len(sources.each), len(places), answer_count), np.float32)
    for fold, part in zip(task.folds, parts, strict=True):
        if part.stop > part.start and len(fold.remembered):
            evidence = FittedEvidence(fold.memory, sources.without(fold))
            scores[:, part] = evidence.of(rows.take(part), neighbours=0).scores
    possible = rows.possible
    truth = task.training.answers[places]
    if possible is not None:
        # An answer that the row's other cells rule out cannot be reached, whatever the evidence.
        reachable = truth >= 0
        reachable[reachable] = possible[reachable, truth[reachable]]
        truth = np.where(reachable, truth, OUTSIDE)
    weighed = weighed_places(truth, answer_count)
    weighing = FusionFit.of(
        scores[:, weighed],
        truth[weighed],
        sources.monotone,
        None if possible is None else possible[weighed],
    )
    whole = weighing.fit()
    shares = np.zeros(scores.shape[1:])
    for number, part in enumerate(parts):
        others_weighed = fold_of[weighed] != number
        fusion = whole
        if others_weighed.any():
            fusion = weighing.among(others_weighed).fit(whole)
        shares[part] = fusion.probabilities(
            scores[:, part], None if possible is None else possible[part]
        )
    best = shares.argmax(axis=1)
    raw = shares.max(axis=1)
    right = best == truth
    probability = raw.copy()
    for number, part in enumerate(parts):
        rest = fold_of != number
        offsets = value_offsets(raw[rest], right[rest], best[rest], answer_count)
        probability[part] = shift_probability(raw[part], offsets[best[part]])
    return OutOfFoldPredictions(places, truth, best, probability, shares, raw, whole)


def weighed_places(truth: IntArray, answer_count: int) -> IntArray:
    """Give the places that the weights are fitted on: those with an answer, evenly thinned."""
    places = np.flatnonzero(truth >= 0)
    # Few weights need few cells, and each with many answers says more.
    most = min(_WEIGHED_ROWS, max(_WEIGHED_ROWS // 4, _WEIGHED_NUMBERS // answer_count))
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
