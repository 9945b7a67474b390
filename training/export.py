"""From trained heads to a classifier: choosing the votes, fitting the fusion, calibrating."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from eval.calibration import expected_calibration_error
from eval.image_sets import image_set
from eval.metrics import accuracy, macro_accuracy
from rac.branches.base import Floats, Integers
from rac.branches.retrieval import Lookup, RetrievalBranch, choose_retrieval
from rac.classifier import ClassifierConfig, FusionConfig, RacClassifier, metric_digest
from rac.fusion import Fusion, Heard, calibrate, fit_fusion
from rac.seen_images import SeenImages
from retrieval_index import Memory, exact_search, make_rows
from training.crossfit import CrossFit, LabelledFeatures
from training.data import FeatureData
from training.module import CosineHeads

#: Neighbours that are looked up for choosing k.
MOST_NEIGHBOURS = 30
#: Fewer validation rows than this say too little about a temperature.
ENOUGH_TO_CALIBRATE = 50


def export_classifier(
    heads: CosineHeads, data: FeatureData, *, training: dict[str, str | int | float | bool | None]
) -> RacClassifier:
    """Make the classifier of trained heads, with a memory in RAM.

    Every number is fitted on rows that the part in question had not seen: training rows by the
    head, the metric and the memory without their fold, validation rows by those of all training
    rows. Both sets are weighed class-balanced and have the same say.

    Args:
        heads: trained on ``data``.
        data: set up for training.
        training: settings to keep in the configuration.
    """
    fitted, validation = data.fitted, data.validation
    counts = fitted.counts[0]
    lookups = [_look_up_fold(fitted, fold) for fold in range(fitted.heads - 1)]
    sets = [_shared(lookups)]
    if validation is not None:
        sets.append([_look_up_validation(fitted, validation)])
    chosen = [lookup for one in sets for lookup in _normalised(one)]
    branch = (
        choose_retrieval(chosen)
        if any(lookup.weights.sum() > 0 for lookup in chosen)
        else RetrievalBranch(k=8, temperature=0.05, gamma=0.7)
    )
    heard = [_hear_folds(heads, fitted, lookups, branch)]
    if validation is not None:
        heard.append(_hear_validation(heads, fitted, validation, branch))
    fusion = fit_fusion(heard, counts)
    fallback = fit_fusion(heard, counts, with_retrieval=False)
    if validation is not None and len(validation) >= ENOUGH_TO_CALIBRATE:
        # As they come, not class-balanced: probabilities are to be right about rows like these.
        plain = replace(heard[-1], weights=np.ones(len(validation)))
        fusion = calibrate(fusion, plain, counts)
        fallback = calibrate(fallback, plain, counts)
    rows = fitted.rows
    memory = Memory.in_ram(
        rows.averaged(),
        make_rows(
            list(rows.ids),
            labels=list(rows.labels),
            texts=rows.texts,
            sources=rows.sources,
            content_hashes=rows.hashes,
        ),
        encoder=data.encoder_identity,
        space=data.space,
        metric=fitted.metrics[0],
        encoder_name=data.encoder_name,
        images_from=rows.images_from,
    )
    config = ClassifierConfig(
        classes=fitted.names,
        train_counts=tuple(int(count) for count in counts),
        encoder=data.encoder_identity,
        encoder_name=data.encoder_name,
        space=data.space,
        dim=rows.vectors.shape[1],
        k=branch.k,
        temperature=branch.temperature,
        gamma=branch.gamma,
        fusion=_config(fusion),
        fallback=_config(fallback),
        metric_sha256=metric_digest(fitted.metrics[0]),
        training=training,
        metrics=_figures(heard, fusion, counts),
    )
    seen = SeenImages(
        training=rows.images(),
        selection=image_set(()) if validation is None else validation.images(),
    )
    return RacClassifier(config, heads.head(0), memory, seen)


def class_balanced_weights(
    classes: Integers, usable: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.float64]:
    """Give ``(N,)`` weights: the usable rows of each class share one; all others have none.

    >>> from dataclasses import replace

    import numpy as np
    >>> class_balanced_weights(np.array([0, 0, 1]), np.array([True, True, False]), 2)
    array([0.5, 0.5, 0. ])
    """
    amounts = np.bincount(classes[usable], minlength=count)
    return np.where(usable, 1.0 / np.maximum(amounts, 1)[classes], 0.0)


def _look_up_fold(fitted: CrossFit, fold: int) -> tuple[Integers, Lookup]:
    held = np.flatnonzero(fitted.folds == fold)
    kept = np.flatnonzero(fitted.member[fold + 1])
    space = fitted.mapped[fold + 1]
    scores, classes = _search(space[kept], fitted.classes[kept], fitted.queries[held])
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))[held]
    found = Lookup(scores, classes, fitted.counts[fold + 1], fitted.classes[held], weights)
    return held, found


def _look_up_validation(fitted: CrossFit, validation: LabelledFeatures) -> Lookup:
    truth = fitted.index(validation.labels)
    queries = fitted.metrics[0].apply(validation.vectors)
    scores, classes = _search(fitted.mapped[0], fitted.classes, queries)
    weights = class_balanced_weights(truth, truth >= 0, len(fitted.names))
    return Lookup(scores, classes, fitted.counts[0], truth, weights)


def _search(rows: Floats, classes: Integers, queries: Floats) -> tuple[Floats, Integers]:
    if not len(rows) or not len(queries):
        nothing = np.full((len(queries), 0), -1, dtype=np.int64)
        return nothing.astype(np.float32), nothing
    near = exact_search(rows, queries, min(MOST_NEIGHBOURS, len(rows)))
    return near.scores, classes[near.rows]


def _shared(lookups: list[tuple[Integers, Lookup]]) -> list[Lookup]:
    return [found for _, found in lookups]


def _normalised(lookups: list[Lookup]) -> list[Lookup]:
    """Scale the weights so that a set has one say, however many rows and folds it holds."""
    total = sum(float(found.weights.sum()) for found in lookups) or 1.0
    return [
        Lookup(found.scores, found.classes, found.counts, found.truth, found.weights / total)
        for found in lookups
    ]


def _hear_folds(
    heads: CosineHeads,
    fitted: CrossFit,
    lookups: list[tuple[Integers, Lookup]],
    branch: RetrievalBranch,
) -> Heard:
    shape = (len(fitted.classes), len(fitted.names))
    base, retrieval = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for fold, (held, found) in enumerate(lookups):
        head = heads.head(fold + 1)
        base[held] = head.log_probabilities(fitted.queries[held])
        retrieval[held] = branch.log_probabilities(found.scores, found.classes, found.counts)
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))
    return Heard(base, retrieval, fitted.classes, weights)


def _hear_validation(
    heads: CosineHeads, fitted: CrossFit, validation: LabelledFeatures, branch: RetrievalBranch
) -> Heard:
    found = _look_up_validation(fitted, validation)
    queries = fitted.metrics[0].apply(validation.vectors)
    return Heard(
        heads.head(0).log_probabilities(queries),
        branch.log_probabilities(found.scores, found.classes, found.counts),
        found.truth,
        found.weights,
    )


def _config(fusion: Fusion) -> FusionConfig:
    return FusionConfig(
        weights=fusion.weights,
        centre=fusion.centre,
        spread=fusion.spread,
        temperature=fusion.temperature,
    )


def _figures(heard: list[Heard], fusion: Fusion, counts: Integers) -> dict[str, float]:
    """Accuracies on the rows that the fusion was fitted on, and thus a little too good."""
    figures: dict[str, float] = {}
    for name, one in zip(("crossfit", "val"), heard, strict=False):
        kept = one.weights > 0
        if not kept.any():
            continue
        said = fusion.log_probabilities(one.base[kept], one.retrieval[kept], counts)
        truth, best = one.truth[kept], said.argmax(axis=1)
        for branch, scores in (
            ("", said),
            ("base_", one.base[kept]),
            ("retrieval_", one.retrieval[kept]),
        ):
            macro = macro_accuracy(truth, scores.argmax(axis=1), len(counts))
            figures[f"{name}_{branch}macro"] = float(macro or 0.0)
        figures[f"{name}_top1"] = float(accuracy(truth, best) or 0.0)
        error = expected_calibration_error(np.exp(said.max(axis=1)), best == truth)
        figures[f"{name}_ece"] = float(error or 0.0)
    return figures
