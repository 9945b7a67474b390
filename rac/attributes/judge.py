"""Judging known cells by what had not seen them: what the promise rests on.

Letters of shapes: N rows, J judged rows, M rows of the memory, P projected dimensions, C values,
S slots (the values, and "not applicable" behind them where that can be the answer), F kinds of
evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from rac.attributes.cells import NOT_APPLICABLE, OUTSIDE
from rac.attributes.combine import Fusion, FusionFit
from rac.attributes.cooccurrence import Columns, Cooccurrence
from rac.attributes.evidence import KINDS, AttributeMemory
from rac.attributes.filler import BoolArray, Doubles, IntArray, ruled_out, slot_scores
from rac.attributes.folds import FOLDS
from rac.attributes.moments import Moments
from rac.attributes.rows import Cells
from rac.attributes.settings import FillSettings
from rac.attributes.task import AttributeTask
from rac.attributes.threshold import shift_probability, value_offsets

_COUNTED_ROWS = 200_000
_WEIGHED_ROWS = 2000
_WEIGHED_NUMBERS = 40_000


@dataclass(frozen=True)
class Judged:
    """What models that had not seen them made of known cells.

    Attributes:
        places: (J,) which of the known rows.
        truth: (J,) slots.
        best: (J,) the likeliest slot.
        probability: (J,) of it, corrected by its offset.
        shares: (J, S) probabilities of all slots.
        raw: (J,) probability of the likeliest slot, as it was before its offset.
        fusion: the weights fitted on all of them.
    """

    places: IntArray
    truth: IntArray
    best: IntArray
    probability: Doubles
    shares: Doubles
    raw: Doubles
    fusion: Fusion

    @property
    def right(self) -> BoolArray:
        """(J,) whether the likeliest slot is the true one."""
        return np.asarray(self.best == self.truth)


def judge(task: AttributeTask, counted: Cooccurrence, settings: FillSettings) -> Judged:
    """Judge known cells by what had not seen them.

    Args:
        task: of the attribute.
        counted: what goes together, from :func:`count_together`.
        settings: the kinds of evidence to go by.
    """
    known, folds, seen, features = task.training, task.folds, task.masked, task.features
    places = np.flatnonzero(known.judged)
    # Fold after fold, so that each is a stretch.
    places = places[np.argsort(folds[places], kind="stable")]
    ends = np.searchsorted(folds[places], np.arange(FOLDS + 1))
    stretches = [slice(*ends[fold : fold + 2].tolist()) for fold in range(FOLDS)]
    prompts = slot_scores(
        known.slot_count, task.prompts[places], seen, task.vocabulary.attribute, places
    )
    # Once for all folds: of fifty attributes, looking at each column for each fold took a tenth.
    shown = counted.columns.members(
        {other: seen.codes[other][places] for other in counted.columns.names}, len(places)
    )
    inside = np.flatnonzero(known.slots >= 0)
    real = counted.columns.members(
        {other: task.cells.codes[other][known.rows[inside]] for other in counted.columns.names},
        len(inside),
    )
    evidence = np.zeros((len(KINDS), len(places), known.slot_count), np.float32)
    fold_of = folds[places]
    remembered = np.flatnonzero(known.memory & (known.slots >= 0))
    memory_features, memory_slots = features[remembered], known.slots[remembered]
    memory_folds = folds[remembered]
    parts = []
    for fold in range(FOLDS):
        here = np.flatnonzero(memory_folds == fold)
        parts.append(Moments.of(memory_features[here], memory_slots[here], known.slot_count))
    whole = reduce(Moments.plus, parts)
    for fold, asked in enumerate(stretches):
        learn = np.flatnonzero(memory_folds != fold)
        count = asked.stop - asked.start
        if not count or not len(learn):
            continue
        memory = AttributeMemory(
            memory_features,
            memory_slots,
            known.slot_count,
            kept=learn,
            moments=whole.without(parts[fold]),
        )
        part = np.flatnonzero(folds[inside] == fold)
        taken = Cooccurrence.among(
            known.slots[inside[part]], real[part], counted.columns, known.slot_count
        )
        evidence[:, asked] = memory.evidence(
            features[places[asked]],
            prompts[asked],
            counted.without(taken).spoken().told_by(shown[asked]),
            neighbours=0,
        ).scores
    truth = known.slots[places]
    reachable = truth >= 0
    # A slot that the row's other cells rule out cannot be reached, whatever the evidence.
    reachable[reachable] = np.isfinite(prompts[reachable, truth[reachable]])
    truth = np.where(reachable, truth, OUTSIDE)
    shares = np.zeros(prompts.shape)
    weighed = weighed_places(truth, known.slot_count)
    weighing = FusionFit.of(evidence[:, weighed], truth[weighed], settings.kinds)
    start = weighing.fit()
    for fold, asked in enumerate(stretches):
        others_weighed = fold_of[weighed] != fold
        fusion = start
        if others_weighed.any():
            fusion = weighing.among(others_weighed).fit(start)
        shares[asked] = fusion.probabilities(evidence[:, asked])
    best = shares.argmax(axis=1)
    raw = shares.max(axis=1)
    right = best == truth
    probability = raw.copy()
    for fold, asked in enumerate(stretches):
        learn = fold_of != fold
        offsets = value_offsets(raw[learn], right[learn], best[learn], known.slot_count)
        probability[asked] = shift_probability(raw[asked], offsets[best[asked]])
    return Judged(places, truth, best, probability, shares, raw, start)


def count_together(task: AttributeTask) -> Cooccurrence:
    """Count what goes together over all rows, or over a stretch of them in a large table."""
    cells, name, known = task.cells, task.name, task.training
    codes = cells.codes[name][:_COUNTED_ROWS]
    counted = np.zeros(len(cells.codes[name]), np.bool_)
    counted[:_COUNTED_ROWS] = (codes >= 0) | (codes == NOT_APPLICABLE) | _ruled_head(cells, name)
    counted[known.rows[known.slots >= 0]] = True
    part = cells.take(np.flatnonzero(counted))
    slots = part.codes[name].astype(np.int64)
    slots[slots < 0] = known.slot_count - 1
    others = {other: codes for other, codes in part.codes.items() if other != name}
    sizes = {other: len(cells.vocabularies[other].names) for other in others}
    return Cooccurrence.count(slots, others, Columns.of(sizes, known.slot_count), known.slot_count)


def _ruled_head(cells: Cells, name: str) -> BoolArray:
    return ruled_out(cells.take(slice(0, _COUNTED_ROWS)), name)


def weighed_places(truth: IntArray, slot_count: int) -> IntArray:
    """Give the places that the weights are fitted on: those with a slot, evenly thinned."""
    places = np.flatnonzero(truth >= 0)
    # Few weights need few cells, and each with many slots says more.
    most = min(_WEIGHED_ROWS, max(_WEIGHED_ROWS // 4, _WEIGHED_NUMBERS // slot_count))
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
