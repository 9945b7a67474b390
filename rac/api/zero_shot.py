"""Classification by names alone, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np

from eval.image_sets import image_set
from eval.predictions import Predictions
from rac.api.faults import as_input_errors
from rac.api.given import ColumnNames, Data, Given, named_encoder, opened_cache, take
from rac.api.predictions import PredictionResult, blanked
from rac.branches.base import log_softmax
from rac.embedding import Features, collect_features, embed_table
from rac.encoders.base import DEFAULT_TEMPLATES, FloatArray, check_templates
from rac.errors import InputError
from rac.spreading import spread_scores
from rac.zero_shot_classification import readable_name

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits


@as_input_errors()
def zero_shot(
    data: Data,
    classes: Sequence[str],
    encoder: str | Encoder = "mini",
    *,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    together: bool = True,
    limits: ImageLimits | None = None,
    progress: bool = True,
    **columns: Unpack[ColumnNames],
) -> PredictionResult:
    """Classify images by the names of the classes; nothing is trained.

    Args:
        data: N images, as :func:`rac.embed` takes them.
        classes: C different names, at least two.
        encoder: its name (see :func:`rac.load_encoder`), or a loaded one.
        templates: prompts with ``{}`` in the place of the name.
        together: whether images that look alike help each other (see :mod:`rac.spreading`), so
            that what is said of one depends on the others.
        limits: bounds on images, and the folders that paths may point into.
        progress: whether progress bars are shown.
        columns: ``image``, ``id``, and ``label`` for reports, where they are not called so.

    Returns:
        (N, C) probabilities and N labels; no neighbours.

    Raises:
        InputError: the data cannot be read, a column is not there, the names repeat, or a template
            has no ``{}``.

    >>> import rac
    >>> from PIL import Image
    >>> pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    >>> rac.zero_shot(pictures, ["blue", "red"], progress=False).labels
    ['red', 'blue']
    """
    check_templates(templates)
    if len(set(classes)) < max(2, len(classes)):
        raise InputError("give at least two classes, each once")
    given = take(data, limits, columns)
    given.table.require("image")
    network = named_encoder(encoder)
    with opened_cache(network, True) as known:
        batches = embed_table(
            given.table, network, cache=known, limits=given.limits, progress=progress
        )
        found = collect_features(batches, network)
    prompts = network.encode_prompts([readable_name(name) for name in classes], templates)
    scores = np.zeros((len(found.items), len(classes)), np.float32)
    if found.ok.any():
        cosines = found.embedding[found.ok] @ prompts.T
        if together:
            shares = spread_scores(
                cosines, found.trunk[found.ok], network.logit_scale, progress=progress
            )
        else:
            shares = np.exp(log_softmax(network.logit_scale * cosines))
        scores[found.ok] = shares
    return PredictionResult(
        ids=[item.id for item in found.items],
        classes=tuple(classes),
        probabilities=blanked(scores, found.reasons),
        truth=[item.label for item in found.items],
        reasons=found.reasons,
        neighbours=None,
        _given=given,
        _told=partial(
            _told, given=given, found=found, scores=scores, classes=classes, encoder=network
        ),
    )


def _told(
    name: str,
    *,
    given: Given,
    found: Features,
    scores: FloatArray,
    classes: Sequence[str],
    encoder: Encoder,
) -> Predictions:
    best = scores.argmax(axis=1)
    return Predictions(
        name=name,
        ids=[item.id for item in found.items],
        labels=[item.label if item.label in set(classes) else None for item in found.items],
        predictions=[
            classes[place] if fine else None for place, fine in zip(best, found.ok, strict=True)
        ],
        classes=classes,
        confidence=np.where(found.ok, scores.max(axis=1), np.nan),
        scores=scores,
        images=[item.image if isinstance(item.image, str) else None for item in found.items],
        image_folder=None if given.table.base is None else str(given.table.base.resolve()),
        content_hashes=found.hashes,
        source=given.table.source,
        # No image was trained on or chosen by.
        training=image_set([]),
        selection=image_set([]),
        metadata={"table": given.table.source, "encoder": encoder.name},
    )
