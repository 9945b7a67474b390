"""From the images of a table to embeddings: streamed, in order, each bad image alone.

Shapes: N rows of a batch, D embedding dimensions, T trunk dimensions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.embedding_cache import EmbeddingCache
from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.errors import JobFailed
from rac.images import BadImage, ImageLimits, content_hash, decode_image, read_image_bytes
from rac.progress import progress_bar
from rac.tables import Item, Table

_DECODE_WORKERS = 2
_BATCHES_AHEAD = 3
# Below this many rows a share of bad images says little, unless the table ends there.
_ROWS_BEFORE_JUDGING = 200


@dataclass(frozen=True)
class EmbeddedBatch:
    """Consecutive rows of a table with their embeddings.

    Attributes:
        rows: the cells of all columns as the table has them.
        items: N items (id, image cell, label, text).
        embedding: (N, D) float32, unit norm; zeros where not ``ok``.
        trunk: (N, T) float32; zeros where not ``ok``.
        ok: (N,) bool, whether the image could be read.
        reasons: N reasons, each None or ``<reason>: <detail>``.
        hashes: N SHA-256 of the image's bytes, None where there were none to read.
    """

    rows: pa.RecordBatch
    items: list[Item]
    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    reasons: list[str | None]
    hashes: list[str | None]


@dataclass(frozen=True)
class Features:
    """All rows of a table in memory; the attributes are those of :class:`EmbeddedBatch`."""

    items: list[Item]
    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    reasons: list[str | None]
    hashes: list[str | None]

    def space(self, name: str) -> FloatArray:
        """Give the (N, D) ``embedding`` or the (N, T) ``trunk`` features by that name."""
        if name not in ("embedding", "trunk"):
            raise ValueError(f"features are 'embedding' or 'trunk', not {name!r}")
        return self.embedding if name == "embedding" else self.trunk


@dataclass(frozen=True)
class _Prepared:
    """One image on its way: known from the cache, ready for the network, or bad."""

    content_hash: str | None = None
    known: tuple[FloatArray, FloatArray] | None = None
    pixels: FloatArray | None = None
    reason: str | None = None


def embed_table(
    table: Table,
    encoder: Encoder,
    *,
    batch_size: int = 64,
    max_bad: float | None = None,
    cache: EmbeddingCache | None = None,
    limits: ImageLimits | None = None,
    description: str = "embedding",
    progress: bool = True,
) -> Iterator[EmbeddedBatch]:
    """Embed the images of a table, batch by batch, in the table's order.

    Reading and decoding run in threads beside the network; what is held does not grow with the
    number of rows.

    Args:
        table: what to embed.
        encoder: what embeds.
        batch_size: images in one forward pass; results do not depend on it beyond float noise.
        max_bad: end the job when more than this share of the images (0 to 1) is bad; None for
            never. Judged from the two hundredth row on, and at the end.
        cache: where known embeddings are looked up and new ones kept.
        limits: bounds on what an image may be; the defaults of :class:`ImageLimits` if None.
        description: what the progress bar says.
        progress: whether a progress bar is shown.

    Raises:
        JobFailed: the share of bad images passes ``max_bad``.
    """
    bounds = limits or ImageLimits()
    tally = _BadTally(max_bad)
    waiting: deque[tuple[pa.RecordBatch, list[Item], list[Future[_Prepared]]]] = deque()
    with (
        ThreadPoolExecutor(_DECODE_WORKERS, thread_name_prefix="decode") as pool,
        progress_bar(description, table.num_rows(), shown=progress) as advance,
    ):
        try:
            for rows in table.batches(batch_size):
                items = table.items(rows)
                futures = [
                    pool.submit(_prepare, item, table.base, encoder, cache, bounds)
                    for item in items
                ]
                waiting.append((rows, items, futures))
                if len(waiting) >= _BATCHES_AHEAD:
                    batch = _encode(*waiting.popleft(), encoder, cache)
                    tally.count(batch)
                    advance(len(batch.items))
                    yield batch
            while waiting:
                batch = _encode(*waiting.popleft(), encoder, cache)
                tally.count(batch)
                advance(len(batch.items))
                yield batch
            tally.close()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def collect_features(
    table: Table,
    encoder: Encoder,
    *,
    batch_size: int = 64,
    max_bad: float | None = None,
    cache: EmbeddingCache | None = None,
    limits: ImageLimits | None = None,
    description: str = "embedding",
    progress: bool = True,
) -> Features:
    """Embed a whole table into memory (for training); arguments as for :func:`embed_table`."""
    batches = list(
        embed_table(
            table,
            encoder,
            batch_size=batch_size,
            max_bad=max_bad,
            cache=cache,
            limits=limits,
            description=description,
            progress=progress,
        )
    )
    embeddings = [batch.embedding for batch in batches]
    trunks = [batch.trunk for batch in batches]
    oks = [batch.ok for batch in batches]
    return Features(
        items=[item for batch in batches for item in batch.items],
        embedding=np.concatenate([np.zeros((0, encoder.embedding_dim), np.float32), *embeddings]),
        trunk=np.concatenate([np.zeros((0, encoder.trunk_dim), np.float32), *trunks]),
        ok=np.concatenate([np.zeros(0, np.bool_), *oks]),
        reasons=[reason for batch in batches for reason in batch.reasons],
        hashes=[digest for batch in batches for digest in batch.hashes],
    )


def _prepare(
    item: Item,
    base: Path | None,
    encoder: Encoder,
    cache: EmbeddingCache | None,
    limits: ImageLimits,
) -> _Prepared:
    digest = None
    try:
        data = read_image_bytes(item.image, base, limits)
        digest = content_hash(data)
        known = cache.get(digest) if cache is not None else None
        if known is not None:
            return _Prepared(content_hash=digest, known=known)
        pixels = encoder.preprocess(decode_image(data, limits))
    except BadImage as error:
        return _Prepared(content_hash=digest, reason=str(error))
    return _Prepared(content_hash=digest, pixels=pixels)


def _encode(
    rows: pa.RecordBatch,
    items: list[Item],
    futures: list[Future[_Prepared]],
    encoder: Encoder,
    cache: EmbeddingCache | None,
) -> EmbeddedBatch:
    prepared = [future.result() for future in futures]
    embedding = np.zeros((len(items), encoder.embedding_dim), np.float32)
    trunk = np.zeros((len(items), encoder.trunk_dim), np.float32)
    fresh = [(place, one.pixels) for place, one in enumerate(prepared) if one.pixels is not None]
    if fresh:
        features = encoder.encode_images(np.stack([pixels for _, pixels in fresh]))
        places = [place for place, _ in fresh]
        embedding[places], trunk[places] = features.embedding, features.trunk
        if cache is not None:
            cache.put(
                {
                    digest: (embedding[place], trunk[place])
                    for place in places
                    if (digest := prepared[place].content_hash) is not None
                }
            )
    for place, one in enumerate(prepared):
        if one.known is not None:
            embedding[place], trunk[place] = one.known
    return EmbeddedBatch(
        rows=rows,
        items=items,
        embedding=embedding,
        trunk=trunk,
        ok=np.array([one.reason is None for one in prepared], np.bool_),
        reasons=[one.reason for one in prepared],
        hashes=[one.content_hash for one in prepared],
    )


class _BadTally:
    """Counts bad images and ends the job when their share is too large."""

    def __init__(self, max_bad: float | None) -> None:
        self._max_bad = max_bad
        self._rows = 0
        self._bad = 0
        self._last_reason: str | None = None

    def count(self, batch: EmbeddedBatch) -> None:
        self._rows += len(batch.items)
        self._bad += int((~batch.ok).sum())
        self._last_reason = next((r for r in batch.reasons if r is not None), self._last_reason)
        if self._rows >= _ROWS_BEFORE_JUDGING:
            self.close()

    def close(self) -> None:
        if self._max_bad is None or self._rows == 0:
            return
        if self._bad > self._max_bad * self._rows:
            raise JobFailed(
                f"{self._bad} of the first {self._rows} images are bad, more than "
                f"--max-bad {self._max_bad:g} allows; one of the reasons: {self._last_reason}"
            )
