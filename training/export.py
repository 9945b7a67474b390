"""From trained heads to a classifier: fitting the fusion, calibrating, making the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eval.calibration import expected_calibration_error
from eval.image_sets import image_set
from eval.metrics import accuracy, macro_accuracy
from rac.branches.base import Integers
from rac.classifier import RacClassifier, metric_digest
from rac.fusion import Fusion, Heard, calibrate, fit_fusion, fused
from rac.model_config import ClassifierConfig, FusionConfig, MemoryEncoder, TextConfig
from rac.seen_images import SeenImages
from retrieval_index import Memory, make_rows
from training.data import FeatureData
from training.hearing import HeardTexts
from training.held_out import choose_on_held_out
from training.module import CosineHeads
from training.own_memory import choose_for_own_memory

#: Fewer validation rows than this say too little about a temperature.
ENOUGH_TO_CALIBRATE = 50


def export_classifier(
    heads: CosineHeads, data: FeatureData, *, training: dict[str, str | int | float | bool | None]
) -> RacClassifier:
    """Make the classifier of trained heads, with a memory in RAM.

    Every number is fitted on rows that the part in question had not seen, see
    :func:`training.held_out.choose_on_held_out` and, for a memory with an encoder of its own,
    :func:`training.own_memory.choose_for_own_memory`.

    Args:
        heads: trained on ``data``.
        data: set up for training.
        training: settings to keep in the configuration.
    """
    fitted, own = data.fitted, data.memory_rows
    counts = fitted.counts[0]
    if own is None:
        chosen = choose_on_held_out(heads, data)
        rows, metric = fitted.rows, fitted.metrics[0]
    else:
        chosen, metric = choose_for_own_memory(heads, data, own)
        rows = own.memorised
    heard = list(chosen.heard.values())
    branch, texts = chosen.branch, chosen.texts
    fusion = chosen.fusion or fit_fusion(heard, counts)
    fallback = fit_fusion(heard, counts, with_retrieval=False)
    validation = chosen.validation
    if validation is not None and len(validation.truth) >= ENOUGH_TO_CALIBRATE:
        # As they come, not class-balanced: probabilities are to be right about rows like these.
        plain = replace(validation, weights=np.ones(len(validation.truth)))
        fusion = calibrate(fusion, plain, counts)
        fallback = calibrate(fallback, plain, counts)
    base = _memory_encoder(data)
    made = base if own is None else own.made_with
    # Then both take the same features, and have one metric: that of the training rows.
    shared = (made.encoder, made.space) == (base.encoder, base.space)
    memory = Memory.in_ram(
        rows.averaged(),
        make_rows(
            list(rows.ids),
            labels=list(rows.labels),
            texts=rows.texts,
            sources=rows.sources,
            content_hashes=rows.hashes,
        ),
        encoder=made.encoder,
        space=made.space,
        metric=metric,
        encoder_name=made.encoder_name,
        images_from=rows.images_from,
        texts=None if texts is None else texts.captions,
    )
    config = ClassifierConfig(
        classes=fitted.names,
        train_counts=tuple(int(count) for count in counts),
        encoder=data.encoder_identity,
        encoder_name=data.encoder_name,
        space=data.space,
        dim=fitted.rows.vectors.shape[1],
        memory_encoder=None if shared else made,
        k=branch.k,
        temperature=branch.temperature,
        gamma=branch.gamma,
        fusion=_config(fusion),
        fallback=_config(fallback),
        text=None if texts is None else _text_config(texts),
        metric_sha256=metric_digest(metric),
        training=training,
        metrics=_figures(chosen.heard, fusion, counts),
    )
    seen = SeenImages(
        training=rows.images(),
        selection=image_set(()) if data.validation is None else data.validation.images(),
    )
    return RacClassifier(
        config,
        heads.head(0),
        memory,
        seen,
        base_metric=None if shared else fitted.metrics[0],
        text_names=None if texts is None else texts.branch.names,
        text_prototypes=None if texts is None else texts.branch.prototypes,
    )


def _memory_encoder(data: FeatureData) -> MemoryEncoder:
    return MemoryEncoder(
        encoder=data.encoder_identity,
        encoder_name=data.encoder_name,
        space=data.space,
        dim=data.fitted.rows.vectors.shape[1],
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


def _figures(heard: dict[str, Heard], fusion: Fusion, counts: Integers) -> dict[str, float]:
    """Accuracies on the rows that the fusion was fitted on, and thus a little too good."""
    figures: dict[str, float] = {}
    for name, one in heard.items():
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
