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
from rac.classifier import RacClassifier, metric_digest
from rac.fusion import Fusion, Heard, calibrate, fit_fusion, fused
from rac.model_config import ClassifierConfig, FusionConfig, TextConfig
from rac.seen_images import SeenImages
from retrieval_index import Memory, exact_search, make_rows
from training.crossfit import CrossFit, LabelledFeatures
from training.data import FeatureData
from training.hearing import Found, HeardTexts, hear_texts
from training.module import CosineHeads
from training.texts import text_pays

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
    folds = [_look_up_fold(fitted, fold) for fold in range(fitted.heads - 1)]
    checked = None if validation is None else _look_up_validation(fitted, validation)
    sets = [folds] if checked is None else [folds, [checked]]
    chosen = [lookup for one in sets for lookup in _normalised([found.lookup for found in one])]
    branch = (
        choose_retrieval(chosen)
        if any(lookup.weights.sum() > 0 for lookup in chosen)
        else RetrievalBranch(k=8, temperature=0.05, gamma=0.7)
    )
    heard = [_hear_folds(heads, fitted, folds, branch)]
    if validation is not None and checked is not None:
        heard.append(_hear_validation(heads, fitted, validation, checked.lookup, branch))
    texts = None if data.text_branch == "off" else hear_texts(fitted, folds, checked, branch)
    if texts is not None:
        told = [replace(one, text=said) for one, said in zip(heard, texts.said, strict=True)]
        if data.text_branch == "on" or text_pays(told, fitted.folds, counts):
            heard = told
        else:
            texts = None
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
        texts=None if texts is None else texts.captions,
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
        text=None if texts is None else _text_config(texts),
        metric_sha256=metric_digest(fitted.metrics[0]),
        training=training,
        metrics=_figures(heard, fusion, counts),
    )
    seen = SeenImages(
        training=rows.images(),
        selection=image_set(()) if validation is None else validation.images(),
    )
    return RacClassifier(
        config,
        heads.head(0),
        memory,
        seen,
        text_names=None if texts is None else texts.branch.names,
        text_prototypes=None if texts is None else texts.branch.prototypes,
    )


def class_balanced_weights(
    classes: Integers, usable: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.float64]:
    """Give ``(N,)`` weights: the usable rows of each class share one; all others have none.

    >>> import numpy as np
    >>> class_balanced_weights(np.array([0, 0, 1]), np.array([True, True, False]), 2)
    array([0.5, 0.5, 0. ])
    """
    amounts = np.bincount(classes[usable], minlength=count)
    return np.where(usable, 1.0 / np.maximum(amounts, 1)[classes], 0.0)


def _look_up_fold(fitted: CrossFit, fold: int) -> Found:
    held = np.flatnonzero(fitted.folds == fold)
    kept = np.flatnonzero(fitted.member[fold + 1])
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))[held]
    return _search(fitted, fold + 1, kept, fitted.queries[held], fitted.classes[held], weights)


def _look_up_validation(fitted: CrossFit, validation: LabelledFeatures) -> Found:
    truth = fitted.index(validation.labels)
    queries = fitted.metrics[0].apply(validation.vectors)
    weights = class_balanced_weights(truth, truth >= 0, len(fitted.names))
    return _search(fitted, 0, np.arange(len(fitted.classes)), queries, truth, weights)


def _search(
    fitted: CrossFit,
    head: int,
    kept: Integers,
    queries: Floats,
    truth: Integers,
    weights: npt.NDArray[np.float64],
) -> Found:
    """Look queries up among the training rows ``kept``, in the metric of a head."""
    scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    if len(kept) and len(queries):
        space = fitted.mapped[head][kept]
        near = exact_search(space, queries, min(MOST_NEIGHBOURS, len(kept)))
        scores, rows = near.scores, kept[near.rows]
    lookup = Lookup(scores, fitted.classes[rows], fitted.counts[head], truth, weights)
    return Found(head, rows, lookup)


def _normalised(lookups: list[Lookup]) -> list[Lookup]:
    """Scale the weights so that a set has one say, however many rows and folds it holds."""
    total = sum(float(found.weights.sum()) for found in lookups) or 1.0
    return [
        Lookup(found.scores, found.classes, found.counts, found.truth, found.weights / total)
        for found in lookups
    ]


def _hear_folds(
    heads: CosineHeads, fitted: CrossFit, folds: list[Found], branch: RetrievalBranch
) -> Heard:
    shape = (len(fitted.classes), len(fitted.names))
    base, retrieval = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for found in folds:
        held, lookup = fitted.folds == found.head - 1, found.lookup
        base[held] = heads.head(found.head).log_probabilities(fitted.queries[held])
        retrieval[held] = branch.log_probabilities(lookup.scores, lookup.classes, lookup.counts)
    weights = class_balanced_weights(fitted.classes, fitted.findable, len(fitted.names))
    return Heard(base, retrieval, fitted.classes, weights)


def _hear_validation(
    heads: CosineHeads,
    fitted: CrossFit,
    validation: LabelledFeatures,
    found: Lookup,
    branch: RetrievalBranch,
) -> Heard:
    queries = fitted.metrics[0].apply(validation.vectors)
    return Heard(
        heads.head(0).log_probabilities(queries),
        branch.log_probabilities(found.scores, found.classes, found.counts),
        found.truth,
        found.weights,
    )


def _text_config(texts: HeardTexts) -> TextConfig:
    branch = texts.branch
    return TextConfig(dim=branch.names.shape[1], temperature=branch.temperature, scale=branch.scale)


def _config(fusion: Fusion) -> FusionConfig:
    return FusionConfig(
        weights=fusion.weights,
        centre=fusion.centre,
        spread=fusion.spread,
        temperature=fusion.temperature,
        text=fusion.text,
    )


def _figures(heard: list[Heard], fusion: Fusion, counts: Integers) -> dict[str, float]:
    """Accuracies on the rows that the fusion was fitted on, and thus a little too good."""
    figures: dict[str, float] = {}
    for name, one in zip(("crossfit", "val"), heard, strict=False):
        kept = one.weights > 0
        if not kept.any():
            continue
        said = fused(fusion, one, counts)[kept]
        truth, best = one.truth[kept], said.argmax(axis=1)
        branches = {"": said, "base_": one.base[kept], "retrieval_": one.retrieval[kept]}
        if one.text is not None:
            branches["text_"] = one.text[kept]
        for branch, scores in branches.items():
            macro = macro_accuracy(truth, scores.argmax(axis=1), len(counts))
            figures[f"{name}_{branch}macro"] = float(macro or 0.0)
        figures[f"{name}_top1"] = float(accuracy(truth, best) or 0.0)
        error = expected_calibration_error(np.exp(said.max(axis=1)), best == truth)
        figures[f"{name}_ece"] = float(error or 0.0)
    return figures
