"""Learning one attribute from its known cells, every one of them judged by what did not see it.

Letters of shapes: N rows, J judged rows, M rows of the memory, P projected dimensions, C values,
S slots (the values, and "not applicable" behind them where that can be the answer), F kinds of
evidence.
"""

from __future__ import annotations

import numpy as np

from rac.attributes.catalogue_tasks import (
    CatalogueTasks,
    FeatureSample,
    RowFeatures,
    SharedRows,
)
from rac.attributes.cooccurrence import Spoken
from rac.attributes.evidence import ROW_CELLS, AttributeMemory
from rac.attributes.filler import AttributeFiller, Filler, slot_scores
from rac.attributes.judge import count_together, judge
from rac.attributes.known import find_known
from rac.attributes.rows import Cells
from rac.attributes.schema import Schema
from rac.attributes.settings import FillSettings
from rac.attributes.task import AttributeTask
from rac.attributes.threshold import (
    Threshold,
    fit_threshold,
    smallest_sample,
    unproven,
    value_offsets,
)
from rac.attributes.zero_shot import PROBABILITY_FLOOR, PromptBank, zero_shot_probabilities
from rac.encoders.base import Encoder
from rac.workers import single_threads


def fit_filler(
    schema: Schema,
    cells: Cells,
    images: RowFeatures,
    encoder: Encoder | None,
    settings: FillSettings,
) -> Filler:
    """Fit all attributes of a catalogue.

    Args:
        schema: the attributes.
        cells: the coded cells of N rows.
        images: the features of the same rows; they are read in parts.
        encoder: reads the prompts; None for none.
        settings: how.
    """
    names = list(schema.attributes)
    # Many small products: whole tasks go side by side, each in one thread.
    with single_threads(settings.workers) as pool:
        sampled = pool.submit(FeatureSample.of, images, settings.seed)
        chosen = [pool.submit(find_known, cells, name, images.ok, settings) for name in names]
        # Threads that share one product of a text tower wait for each other most of the time.
        bank = None if encoder is None else PromptBank.encode(cells, names, encoder, pool)
        training = {name: one.result() for name, one in zip(names, chosen, strict=True)}
        sample = sampled.result()
        shared = pool.submit(
            SharedRows.of, training.values(), sample.projection, images.trunk
        ).result()
        tasks = CatalogueTasks(cells, images, sample, bank, settings.seed, shared)

        def fit(name: str) -> AttributeFiller:
            return fit_attribute(tasks.task(name, training[name]), settings)

        fillers = dict(zip(names, pool.map(fit, names), strict=True))
    return Filler(sample.projection, bank, sample.centre, fillers)


def fit_attribute(task: AttributeTask, settings: FillSettings) -> AttributeFiller:
    """Fit one attribute to its known cells, or fall back on prompts alone.

    Every judged cell is judged by a memory, counts and weights that were fitted without it and
    without its near-duplicates. A cell whose value is outside the vocabulary counts as one that
    would be filled wrongly. With fewer known cells than can vouch for the target, or only one
    known answer, the cells cannot tell values apart: prompts stand alone, under a rule that
    nothing vouches for.
    """
    known, vocabulary = task.training, task.vocabulary
    target = vocabulary.attribute.target_precision
    inside = known.slots >= 0
    needed = smallest_sample(target, settings.confidence)
    enough = inside.sum() >= needed and (known.judged & inside).sum() >= 2
    if not enough or len(np.unique(known.slots[inside])) < 2:
        return fit_prompts_alone(task)
    counted = count_together(task)
    judged = judge(task, counted, settings)
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
                confidence=settings.confidence,
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
        logit_scale=1.0 if task.logit_scale is None else task.logit_scale,
        slots=known.slot_count,
        held_back=held,
        offsets=value_offsets(judged.raw, right, judged.best, known.slot_count),
        memory=AttributeMemory(task.features[remembered], memory_slots, known.slot_count),
        rows=known.rows[remembered],
        fusion=judged.fusion,
        speaks=counted.spoken()
        if ROW_CELLS in settings.kinds
        else Spoken.nothing(known.slot_count),
    )


def fit_prompts_alone(task: AttributeTask) -> AttributeFiller:
    """Fill by prompts alone: only above a floor, and not if what is known speaks against it."""
    known, vocabulary, logit_scale = task.training, task.vocabulary, task.logit_scale
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
    elif logit_scale is None:
        above, reason = None, "too few known cells, and no encoder to read prompts with"
    elif with_value.any():
        places = np.flatnonzero(with_value)
        scores = slot_scores(count, task.prompts[places], task.masked, vocabulary.attribute, places)
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
        logit_scale=1.0 if logit_scale is None else logit_scale,
        slots=count,
        held_back=np.zeros(count, np.bool_),
        offsets=np.zeros(count),
    )
