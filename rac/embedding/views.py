"""Further views of the training images of small classes, through the encoder that saw the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.embedding.batch import EmbeddedBatch, Features
from rac.embedding.cache import EmbeddingCache
from rac.embedding.stages import Stages
from rac.embedding.stream import Rows, collect_features, embed_rows
from rac.encoders import Encoder
from rac.encoders.views import VIEWS, ViewEncoder
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Item

Integers = npt.NDArray[np.int64]

#: Classes with more training rows than this have images enough.
MOST_ROWS = 100


def rows_of_small_classes(labels: Sequence[str], most: int) -> Integers:
    """Give the rows whose class has at most ``most`` rows.

    >>> rows_of_small_classes(["a", "b", "b"], most=1)
    array([0])
    """
    _, classes, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[classes] <= most).astype(np.int64)


def embed_views(
    items: Sequence[Item],
    rows: Integers,
    base: Path | None,
    encoder: Encoder,
    *,
    batch_size: int = 64,
    limits: ImageLimits | None = None,
    progress: bool = True,
) -> tuple[Features, Integers] | None:
    """Embed every view of :data:`rac.encoders.views.VIEWS` of some items; known ones are cached.

    Args:
        items: N, in the order of the training rows.
        rows: ``(R,)`` which of them.
        base: the folder that relative image paths start from.
        encoder: what embeds.
        batch_size: images in one forward pass.
        limits: bounds on images; the defaults of :class:`rac.images.ImageLimits` if None.
        progress: whether a progress bar is shown.

    Returns:
        Features of R views of each kind, and the ``(len(VIEWS) * R,)`` rows that they are views of;
        None where ``rows`` is empty.
    """
    if not len(rows):
        return None
    chosen = [items[row] for row in rows]
    batches: list[EmbeddedBatch] = []
    with progress_bar("further views", len(VIEWS) * len(chosen), shown=progress) as advance:
        for name in VIEWS:
            view = ViewEncoder(encoder, name)
            with EmbeddingCache(view) as cache:
                for batch in embed_rows(
                    _batches(chosen, batch_size),
                    base,
                    view,
                    cache=cache,
                    limits=limits,
                    stages=Stages(),
                ):
                    batches.append(batch)
                    advance(len(batch.items))
    return collect_features(batches, encoder), np.tile(rows, len(VIEWS))


def _batches(items: Sequence[Item], size: int) -> Iterator[Rows]:
    for start in range(0, len(items), size):
        some = list(items[start : start + size])
        yield Rows(pa.record_batch([pa.array([item.id for item in some])], ["id"]), some)
