"""Classes from their names alone: no training row is looked at.

Letters of shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.embedding import embed_table
from rac.embedding.cache import EmbeddingCache
from rac.encoders import Encoder
from rac.encoders.base import DEFAULT_TEMPLATES, FloatArray, check_templates
from rac.errors import InputError
from rac.images import ImageLimits
from rac.spreading import spread_scores
from rac.tables import Table


def readable_name(label: str) -> str:
    """Turn a label as catalogues write them into words for a prompt.

    >>> readable_name("Golden-Delicious"), readable_name("t_shirt/top")
    ('Golden Delicious', 't shirt/top')
    """
    return " ".join(label.replace("_", " ").replace("-", " ").split())


@dataclass(frozen=True)
class ZeroShot:
    """What prompts alone make of the labelled rows of a table.

    Attributes:
        ids: N ids of the rows used.
        labels: N true labels.
        classes: C labels, sorted.
        scores: (N, C) float32, the higher the likelier.
        cosines: (N, C) float32 in [-1, 1], of every image with every class's prompts: what is said
            of each image without a look at the others.
        left_out: rows without a label.
        bad_images: rows with a label whose image could not be read.
    """

    ids: list[str]
    labels: list[str]
    classes: list[str]
    scores: FloatArray
    cosines: FloatArray
    left_out: int
    bad_images: int

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,) class indices of the labels."""
        places = {name: index for index, name in enumerate(self.classes)}
        return np.array([places[label] for label in self.labels], np.int64)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) class indices of the best scores."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)


def classify_zero_shot(
    table: Table,
    encoder: Encoder,
    *,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    together: bool = True,
    max_bad: float | None = None,
    cache: EmbeddingCache | None = None,
    limits: ImageLimits | None = None,
    progress: bool = True,
) -> ZeroShot:
    """Score every labelled row of a table against the names of all the table's classes.

    Args:
        table: has a label column.
        encoder: image and text towers.
        templates: prompts with ``{}`` in the place of the name.
        together: whether images that look alike help each other (see
            :func:`rac.spreading.spread_scores`); the scores are then shares, else cosines.
        max_bad: end the job when more than this share of the images is bad.
        cache: of embeddings.
        limits: bounds on images; the defaults of :class:`rac.images.ImageLimits` if None.
        progress: whether a progress bar is shown.

    Raises:
        InputError: the table has no label column, or no row with a label and a readable image; or
            a template without ``{}``.
        JobFailed: too many bad images.
    """
    check_templates(templates)
    if table.roles.label is None:
        raise InputError(
            f"{table.source} has no label column; name one of {', '.join(table.columns)} "
            "with --label"
        )
    ids: list[str] = []
    labels: list[str] = []
    embeddings: list[FloatArray] = []
    trunks: list[FloatArray] = []
    left_out = bad = 0
    for batch in embed_table(
        table, encoder, max_bad=max_bad, cache=cache, limits=limits, progress=progress
    ):
        labelled = np.array([bool(item.label) for item in batch.items], np.bool_)
        used = labelled & batch.ok
        left_out += int((~labelled).sum())
        bad += int((labelled & ~batch.ok).sum())
        chosen = [item for item, use in zip(batch.items, used, strict=True) if use]
        ids += [item.id for item in chosen]
        labels += [str(item.label) for item in chosen]
        embeddings.append(batch.embedding[used])
        if together:
            trunks.append(batch.trunk[used])
    if not ids:
        raise InputError(f"{table.source} has no row with both a label and a readable image")
    classes = sorted(set(labels))
    prompts = encoder.encode_prompts([readable_name(name) for name in classes], templates)
    cosines = np.concatenate(embeddings) @ prompts.T
    scores = cosines
    if together:
        features = np.concatenate(trunks)
        scores = spread_scores(cosines, features, encoder.logit_scale, progress=progress)
    return ZeroShot(ids, labels, classes, scores, cosines, left_out, bad)
