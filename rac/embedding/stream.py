"""From the images of a table to embeddings: streamed, in order, each bad image alone.

Shapes: N rows of a batch, D embedding dimensions, T trunk dimensions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from rac.cores import usable_cores
from rac.embedding.bad import BadTally
from rac.embedding.batch import EmbeddedBatch, Features
from rac.embedding.cache import EmbeddingCache
from rac.embedding.prepare import Prepared, Preparer
from rac.embedding.stages import Stage, Stages
from rac.encoders import Encoder
from rac.encoders.base import FloatArray, ImageFeatures
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Item, Table

# Batches being decoded while the network works, at least; more where there are more cores. The
# pixels of these batches are what a job holds, whatever the number of rows.
_BATCHES_AHEAD = 3


class Rows(NamedTuple):
    """Consecutive rows of a table, raw and as items."""

    cells: pa.RecordBatch
    items: list[Item]


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
    tally = BadTally(max_bad)
    with progress_bar(description, table.num_rows(), shown=progress) as advance:
        for batch in embed_rows(
            read_rows(table, batch_size),
            table.base,
            encoder,
            cache=cache,
            limits=limits,
            stages=Stages(),
        ):
            tally.count(batch.reasons)
            advance(len(batch.items))
            yield batch
    tally.close()


def read_rows(table: Table, batch_size: int) -> Iterator[Rows]:
    """Read a table from its start, at most ``batch_size`` rows at a time."""
    # Tables are read in larger pieces than a network likes; each costs something.
    for cells in table.batches():
        items = table.items(cells)
        for start in range(0, len(items), batch_size):
            yield Rows(cells.slice(start, batch_size), items[start : start + batch_size])


def embed_rows(
    batches: Iterable[Rows],
    base: Path | None,
    encoder: Encoder,
    *,
    cache: EmbeddingCache | None,
    limits: ImageLimits | None,
    stages: Stages,
) -> Iterator[EmbeddedBatch]:
    """Embed batches of rows, in order; the engine behind :func:`embed_table`.

    Three things go on at once: threads read and decode the batches to come, one thread runs the
    network, and the caller's thread looks after the cache and the results.

    Args:
        batches: consecutive rows, as many as shall go through the network at once.
        base: the folder that relative image paths start from.
        encoder: what embeds.
        cache: where known embeddings are looked up and new ones kept.
        limits: bounds on what an image may be; the defaults of :class:`ImageLimits` if None.
        stages: where the waiting is counted.
    """
    decoding: deque[tuple[Rows, list[Future[list[Prepared]]]]] = deque()
    encoding: deque[_Encoding] = deque()
    workers = max(2, usable_cores())
    ahead = max(_BATCHES_AHEAD, workers)
    preparer = Preparer(base, encoder, cache, limits or ImageLimits(), workers)
    network = ThreadPoolExecutor(1, thread_name_prefix="network")

    def encode() -> None:
        rows, futures = decoding.popleft()
        with stages.waiting(Stage.images):
            prepared = [one for future in futures for one in future.result()]
        encoding.append(_Encoding(rows, prepared, encoder, network))

    def finished() -> EmbeddedBatch:
        oldest = encoding.popleft()
        with stages.waiting(Stage.network):
            features = oldest.features.result()
        with stages.waiting(Stage.disk):
            oldest.keep(features, cache)
        return oldest.batch(features)

    with preparer, network:
        try:
            for rows in stages.between(Stage.table, batches):
                decoding.append((rows, preparer.submit(rows.items)))
                if len(decoding) > ahead:
                    encode()
                if len(encoding) > 1:
                    yield finished()
            while decoding:
                encode()
                if len(encoding) > 1:
                    yield finished()
            while encoding:
                yield finished()
        finally:
            network.shutdown(wait=False, cancel_futures=True)


def collect_features(batches: Iterable[EmbeddedBatch], encoder: Encoder) -> Features:
    """Bring the batches of :func:`embed_table` together in memory (for training)."""
    batches = list(batches)
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


class _Encoding:
    """A prepared batch in the network; an image that it holds twice goes through once."""

    def __init__(
        self, rows: Rows, prepared: list[Prepared], encoder: Encoder, network: ThreadPoolExecutor
    ) -> None:
        self._rows = rows
        self._prepared = prepared
        self._sizes = (encoder.embedding_dim, encoder.trunk_dim)
        fresh = {
            one.content_hash: one.pixels
            for one in prepared
            if one.pixels is not None and one.content_hash is not None
        }
        self._place = {digest: place for place, digest in enumerate(fresh)}
        self.features: Future[ImageFeatures | None] = network.submit(
            lambda: encoder.encode_images(np.stack(list(fresh.values()))) if fresh else None
        )

    def keep(self, features: ImageFeatures | None, cache: EmbeddingCache | None) -> None:
        """Put what is new into the cache."""
        if cache is not None and features is not None:
            cache.put(
                {
                    digest: (features.embedding[place], features.trunk[place])
                    for digest, place in self._place.items()
                }
            )

    def batch(self, features: ImageFeatures | None) -> EmbeddedBatch:
        """Bring known, new and bad images together in the order of the rows."""
        return EmbeddedBatch(
            rows=self._rows.cells,
            items=self._rows.items,
            vectors=[self._vectors(one, features) for one in self._prepared],
            sizes=self._sizes,
            ok=np.array([one.reason is None for one in self._prepared], np.bool_),
            reasons=[one.reason for one in self._prepared],
            hashes=[one.content_hash for one in self._prepared],
        )

    def _vectors(
        self, one: Prepared, features: ImageFeatures | None
    ) -> tuple[FloatArray, FloatArray] | None:
        if one.known is not None or one.content_hash is None or features is None:
            return one.known
        place = self._place.get(one.content_hash)
        return None if place is None else (features.embedding[place], features.trunk[place])
