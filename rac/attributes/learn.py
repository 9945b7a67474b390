"""Learning one attribute from its known cells, every one of them judged by what did not see it.

Letters of shapes: N rows, J judged rows, M rows of the memory, P projected dimensions, C values,
S slots (the values, and "not applicable" behind them where that can be the answer), F kinds of
evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rac.attributes.cooccurrence import Spoken
from rac.attributes.evidence import KINDS, ROW_CELLS, AttributeMemory
from rac.attributes.filler import AttributeFiller, IntArray, slot_scores
from rac.attributes.judge import count_together, judge
from rac.attributes.known import Known
from rac.attributes.rows import Cells
from rac.attributes.threshold import (
    CONFIDENCE,
    Threshold,
    fit_threshold,
    smallest_sample,
    unproven,
    value_offsets,
)
from rac.attributes.zero_shot import PROBABILITY_FLOOR, zero_shot_probabilities
from rac.encoders.base import FloatArray


def learn_attribute(
    cells: Cells,
    name: str,
    known: Known,
    features: FloatArray,
    zero_shot: FloatArray,
    *,
    seen: Cells,
    prompts: bool,
    logit_scale: float,
    groups: IntArray,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    kinds: Sequence[int] = range(len(KINDS)),
) -> AttributeFiller:
    """Learn one attribute from its known cells, or fall back on prompts alone.

    Every judged cell is judged by a memory, counts and weights that were fitted without it and
    without its near-duplicates. A cell whose value is outside the vocabulary counts as one that
    would be filled wrongly. With fewer known cells than can vouch for the target, or only one
    known answer, the cells cannot tell values apart: prompts stand alone, under a rule that
    nothing vouches for.

    Args:
        cells: of all N rows.
        name: the attribute.
        known: the rows it is learnt from, M + J of them together.
        features: their projected trunk features.
        zero_shot: their (M + J, C) scores from prompts; zeros where there are none.
        seen: their cells, from :meth:`Known.seen`.
        prompts: whether ``zero_shot`` comes from prompts.
        logit_scale: of the encoder.
        groups: (M + J,) groups of near-duplicates, which are never parted.
        confidence: in (0, 1), of the promise.
        seed: of the folds.
        kinds: the kinds of evidence to go by.
    """
    vocabulary = cells.vocabularies[name]
    target = vocabulary.attribute.target_precision
    inside = known.slots >= 0
    needed = smallest_sample(target, confidence)
    enough = inside.sum() >= needed and (known.judged & inside).sum() >= 2
    if not enough or len(np.unique(known.slots[inside])) < 2:
        return without_memory(cells, name, known, zero_shot, seen, prompts, logit_scale)
    counted = count_together(cells, name, known)
    judged = judge(
        cells,
        name,
        known,
        features,
        zero_shot,
        seen=seen,
        counted=counted,
        groups=groups,
        seed=seed,
        kinds=kinds,
    )
    count = len(vocabulary.names)
    right = judged.right
    absent = judged.best >= count
    rules = []
    for part in (~absent, absent):
        share = part.sum() / max(1, len(part))
        rules.append(
            fit_threshold(
                judged.probability[part],
                right[part],
                target=target,
                confidence=confidence,
                job=round(known.missing * share),
            )
        )
    floors = [np.inf if rule.above is None else rule.above for rule in rules]
    above = judged.probability > np.where(absent, floors[1], floors[0])
    held = unproven(right, judged.best, above, known.slot_count)
    rules = [
        rule.among(len(right), int((above & part & held[judged.best]).sum()))
        for rule, part in zip(rules, (~absent, absent), strict=True)
    ]
    remembered = known.memory & inside
    memory_slots = known.slots[remembered]
    return AttributeFiller(
        vocabulary=vocabulary,
        source="fused",
        threshold=rules[0],
        absence=rules[1],
        logit_scale=logit_scale,
        slots=known.slot_count,
        held_back=held,
        offsets=value_offsets(judged.raw, right, judged.best, known.slot_count),
        memory=AttributeMemory(features[remembered], memory_slots, known.slot_count),
        rows=known.rows[remembered],
        fusion=judged.fusion,
        speaks=counted.spoken() if ROW_CELLS in kinds else Spoken.nothing(known.slot_count),
    )


def without_memory(
    cells: Cells,
    name: str,
    known: Known,
    zero_shot: FloatArray,
    seen: Cells,
    prompts: bool,
    logit_scale: float,
) -> AttributeFiller:
    """Fill by prompts alone: only above a floor, and not if what is known speaks against it."""
    vocabulary = cells.vocabularies[name]
    target = vocabulary.attribute.target_precision
    count = len(vocabulary.names)
    floor = max(target, PROBABILITY_FLOOR)
    hits = sure_cells = 0
    reason = "unverified: too few known cells to check the prompts' answers against"
    above: float | None = floor
    with_value = (known.slots < count) & known.judged
    if count < 2:
        above = None
        reason = (
            "the only value known leaves nothing to choose from; list the values in the schema"
            if count
            else "no values are known: list them in the schema"
        )
    elif not prompts:
        above, reason = None, "too few known cells, and no encoder to read prompts with"
    elif with_value.any():
        places = np.flatnonzero(with_value)
        scores = slot_scores(count, zero_shot[places], seen, vocabulary.attribute, places)
        shares = zero_shot_probabilities(scores, logit_scale)
        sure = shares.max(axis=1) > floor
        sure_cells = int(sure.sum())
        hits = int((shares.argmax(axis=1)[sure] == known.slots[places][sure]).sum())
        if sure_cells and hits < target * sure_cells:
            above = None
            reason = (
                f"too few known cells to learn from, and prompts alone are right for only {hits} "
                f"of the {sure_cells} that they are sure of"
            )
    judged = int(with_value.sum())
    return AttributeFiller(
        vocabulary=vocabulary,
        source="zero-shot",
        threshold=Threshold(
            above, target, known=judged, cells=sure_cells, right=hits, reason=reason
        ),
        absence=Threshold(None, target, reason="too few known cells to tell"),
        logit_scale=logit_scale,
        slots=count,
        held_back=np.zeros(count, np.bool_),
        offsets=np.zeros(count),
    )
