"""The features that a model takes of a table's images: of one encoder, or of two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

from rac.branches.base import Floats
from rac.embedding.batch import EmbeddedBatch
from rac.embedding.cache import EmbeddingCache
from rac.embedding.stages import Stages
from rac.embedding.stream import Rows, embed_rows
from rac.encoders import Encoder
from rac.images.limits import ImageLimits
from rac.model_config import ClassifierConfig
from rac.tables import Item


@dataclass(frozen=True)
class Embedder:
    """An encoder with what it has embedded before.

    Attributes:
        encoder: gives the features.
        cache: of its embeddings; None for none.
    """

    encoder: Encoder
    cache: EmbeddingCache | None = None


@dataclass(frozen=True)
class FeatureBatch:
    """N consecutive rows of a table.

    Attributes:
        items: the rows.
        features: ``(N, D)`` for the base branch; zeros where the image is bad.
        memory_features: ``(N, D')`` for the memory, likewise; None where it takes the same.
        reasons: N reasons why an image is bad, None where it is not.
        hashes: N SHA-256 of the images' bytes, None where there were none to read.
    """

    items: list[Item]
    features: Floats
    memory_features: Floats | None
    reasons: list[str | None]
    hashes: list[str | None]


def embed_for(
    config: ClassifierConfig,
    batches: Iterable[Rows],
    base: Path | None,
    embedder: Embedder,
    memory: Embedder | None,
    *,
    limits: ImageLimits | None,
) -> Iterator[FeatureBatch]:
    """Embed rows as a model takes them, in order.

    With two encoders every image is read by each of them: they may ask for other sizes.

    Args:
        config: of the model.
        batches: consecutive rows, as many as shall go through a network at once.
        base: the folder that relative image paths start from.
        embedder: for the base branch.
        memory: for the memory, where the model names an encoder for it.
        limits: of images.
    """

    def embed(rows: Iterable[Rows], by: Embedder) -> Iterator[EmbeddedBatch]:
        return embed_rows(rows, base, by.encoder, cache=by.cache, limits=limits, stages=Stages())

    if memory is None:
        for one in embed(batches, embedder):
            features = _space(one, config.space)
            yield FeatureBatch(one.items, features, None, one.reasons, one.hashes)
        return
    own, others = tee(batches)
    for one, other in zip(embed(own, embedder), embed(others, memory), strict=True):
        yield FeatureBatch(
            one.items,
            _space(one, config.space),
            _space(other, config.of_memory().space),
            # What the one could fetch a server may have refused the other.
            [this or that for this, that in zip(one.reasons, other.reasons, strict=True)],
            one.hashes,
        )


def _space(batch: EmbeddedBatch, name: str) -> Floats:
    return batch.trunk if name == "trunk" else batch.embedding
