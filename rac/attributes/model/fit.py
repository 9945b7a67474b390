"""Fitting: each attribute to its training cells, with a promise from out-of-fold predictions.

Letters of shapes: N rows, S answers (the values, and "not applicable" behind them where that can be
the answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from rac.attributes.evidence.fitted import FittedEvidence, FittedSources
from rac.attributes.evidence.registry import chosen_sources
from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.model.filler import AttributeFiller, Filler
from rac.attributes.model.grounds import FusedGrounds, PromptGrounds
from rac.attributes.model.out_of_fold import predict_out_of_fold
from rac.attributes.model.precision_control import (
    Threshold,
    fit_threshold,
    low_support,
    value_offsets,
)
from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import Cells
from rac.attributes.schema import Schema
from rac.attributes.settings import FillSettings
from rac.attributes.task.attribute_task import AttributeTask
from rac.attributes.task.catalogue_tasks import CatalogueTasks, FeatureSample, SharedRows
from rac.attributes.task.sample_size import smallest_sample
from rac.attributes.task.training_cells import choose_training_cells
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
    sources = chosen_sources(settings.sources)
    # Many small products: whole tasks go side by side, each in one thread.
    with single_threads(settings.workers) as pool:
        sampled = pool.submit(FeatureSample.of, images, settings.seed)
        choose = partial(
            choose_training_cells, ok=images.ok, seed=settings.seed, sources=len(sources)
        )
        chosen = [pool.submit(choose, cells, name) for name in names]
        # Threads that share one product of a text tower wait for each other most of the time.
        bank = None if encoder is None else PromptBank.encode(cells, names, encoder, pool)
        training = {name: one.result() for name, one in zip(names, chosen, strict=True)}
        sample = sampled.result()
        shared = pool.submit(
            SharedRows.of, training.values(), sample.projection, images.trunk
        ).result()
        tasks = CatalogueTasks(cells, images, sample, bank, settings.seed, shared)

        def fit(name: str) -> AttributeFiller:
            return fit_attribute(tasks.task(name, training[name]), sources, settings.confidence)

        fillers = dict(zip(names, pool.map(fit, names), strict=True))
    return Filler(sample.projection, bank, sample.centre, fillers)


def fit_attribute(
    task: AttributeTask, sources: Sequence[type[EvidenceSource]], confidence: float
) -> AttributeFiller:
    """Fit one attribute to its training cells, or fall back on prompts alone.

    The promise rests on out-of-fold predictions: by evidence and weights that were fitted without
    the cell and its near-duplicates. A cell whose value is outside the vocabulary counts as one
    that would be filled wrongly. With fewer known cells than can vouch for the target, or only one
    known answer, the cells cannot tell values apart: prompts stand alone, under a rule that nothing
    vouches for.

    Args:
        task: of the attribute.
        sources: of evidence, in the registry's order.
        confidence: in (0, 1), of the promise.
    """
    training, vocabulary = task.training, task.vocabulary
    target = vocabulary.attribute.target_precision
    inside = training.answers >= 0
    needed = smallest_sample(target, confidence)
    enough = inside.sum() >= needed and (training.predicted & inside).sum() >= 2
    if not enough or len(np.unique(training.answers[inside])) < 2:
        return fit_prompts_alone(task)
    fitted = FittedSources.fit(task, sources)
    predictions = predict_out_of_fold(task, fitted)
    count = len(vocabulary.names)
    right = predictions.right
    absent = predictions.best >= count
    rules = []
    for part in (~absent, absent):
        share = part.sum() / max(1, len(part))
        rules.append(
            fit_threshold(
                predictions.probability[part],
                right[part],
                target=target,
                confidence=confidence,
                job=round(training.missing * share),
            )
        )
    floors = [np.inf if rule.above is None else rule.above for rule in rules]
    above = predictions.probability > np.where(absent, floors[1], floors[0])
    withheld = low_support(right, predictions.best, above, training.answer_count)
    rules = [
        rule.among(len(right), int((above & part & withheld[predictions.best]).sum()))
        for rule, part in zip(rules, (~absent, absent), strict=True)
    ]
    return AttributeFiller(
        vocabulary=vocabulary,
        threshold=rules[0],
        absence=rules[1],
        withheld=withheld,
        offsets=value_offsets(predictions.raw, right, predictions.best, training.answer_count),
        grounds=FusedGrounds(
            FittedEvidence(task.memory, fitted), predictions.fusion, training.rows[task.remembered]
        ),
    )


def fit_prompts_alone(task: AttributeTask) -> AttributeFiller:
    """Fill by prompts alone: only above a floor, and not if what is known speaks against it."""
    training, vocabulary, logit_scale = task.training, task.vocabulary, task.logit_scale
    target = vocabulary.attribute.target_precision
    count = len(vocabulary.names)
    floor = max(target, PROBABILITY_FLOOR)
    hits = sure_cells = 0
    reason = "unverified: too few known cells to check the prompts' answers against"
    above: float | None = floor
    with_value = (training.answers < count) & training.predicted
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
        possible = task.masked.possible_answers(vocabulary.attribute, count, places)
        shares = zero_shot_probabilities(task.prompts[places], logit_scale, possible)
        sure = shares.max(axis=1) > floor
        sure_cells = int(sure.sum())
        hits = int((shares.argmax(axis=1)[sure] == training.answers[places][sure]).sum())
        if sure_cells and hits < target * sure_cells:
            above = None
            reason = (
                f"too few known cells to learn from, and prompts alone are right for only {hits} "
                f"of the {sure_cells} that they are sure of"
            )
    predicted = int(with_value.sum())
    return AttributeFiller(
        vocabulary=vocabulary,
        threshold=Threshold(
            above, target, known=predicted, cells=sure_cells, right=hits, reason=reason
        ),
        absence=Threshold(None, target, reason="too few known cells to tell"),
        withheld=np.zeros(count, np.bool_),
        offsets=np.zeros(count),
        grounds=PromptGrounds(1.0 if logit_scale is None else logit_scale),
    )
