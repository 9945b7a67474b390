"""From image cells to what the network needs of them: known embeddings, pixels, or a reason."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rac.embedding.cache import EmbeddingCache
from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.images import (
    BadImage,
    DecodingBudget,
    ImageLimits,
    Pixels,
    content_hash,
    decoded_pixels,
    is_address,
    read_image_bytes,
)
from rac.tables import Item

# Waiting for servers costs no processor: many wait at once, a few for each host.
_FETCHERS = 32
# Images prepared by one task of a decoding thread.
_CHUNK = 32
# Encoded bytes after which a thread prepares what it has read, before it reads on.
_MOST_READ = 32 * 1024 * 1024


@dataclass(frozen=True)
class Prepared:
    """One image on its way: known from the cache, ready for the network, or bad.

    Attributes:
        content_hash: SHA-256 of its bytes, None where there were none to read.
        known: (embedding (D,), trunk (T,)) from the cache.
        pixels: (3, H, W) uint8 for the network.
        reason: why it is bad.
    """

    content_hash: str | None = None
    known: tuple[FloatArray, FloatArray] | None = None
    pixels: Pixels | None = None
    reason: str | None = None


class Preparer:
    """Reads and decodes the images of batches in threads, ahead of the network.

    However many threads there are, what they decode at the same time stays within
    ``limits.max_memory``.

    Use it as a context manager; leaving it abandons what was not waited for.
    """

    def __init__(
        self,
        base: Path | None,
        encoder: Encoder,
        cache: EmbeddingCache | None,
        limits: ImageLimits,
        workers: int,
    ) -> None:
        """Start no thread yet.

        Args:
            base: the folder that relative paths start from.
            encoder: whose preprocessing is applied.
            cache: where known embeddings are looked up.
            limits: bounds on what an image may be.
            workers: decoding threads.
        """
        self._base = base
        self._encoder = encoder
        self._cache = cache
        self._limits = limits
        self._budget = DecodingBudget(limits.max_memory)
        self._decoders = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._fetchers = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")

    def __enter__(self) -> Preparer:
        return self

    def __exit__(self, *_: object) -> None:
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def submit(self, items: Sequence[Item]) -> list[Future[list[Prepared]]]:
        """Begin with a batch; the futures give its images in order, a few in each."""
        fetched = [
            self._fetchers.submit(self._read, item)
            if isinstance(item.image, str) and is_address(item.image)
            else None
            for item in items
        ]
        return [
            self._decoders.submit(
                self._prepare, items[start : start + _CHUNK], fetched[start : start + _CHUNK]
            )
            for start in range(0, len(items), _CHUNK)
        ]

    def _read(self, item: Item) -> bytes:
        return read_image_bytes(item.image, self._base, self._limits)

    def _prepare(
        self, items: Sequence[Item], fetched: Sequence[Future[bytes] | None]
    ) -> list[Prepared]:
        prepared: list[Prepared] = []
        found: list[bytes | BadImage] = []
        held = 0
        for item, future in zip(items, fetched, strict=True):
            try:
                data = self._read(item) if future is None else future.result()
            except BadImage as error:
                found.append(error)
                continue
            found.append(data)
            held += len(data)
            if held > _MOST_READ:
                prepared += self._judge(found)
                found, held = [], 0
        return prepared + self._judge(found)

    def _judge(self, found: Sequence[bytes | BadImage]) -> list[Prepared]:
        hashes = [content_hash(one) if isinstance(one, bytes) else None for one in found]
        known: dict[str, tuple[FloatArray, FloatArray]] = {}
        if self._cache is not None:
            known = self._cache.get_many(digest for digest in hashes if digest is not None)
        return [self._one(one, digest, known) for one, digest in zip(found, hashes, strict=True)]

    def _one(
        self,
        found: bytes | BadImage,
        digest: str | None,
        known: dict[str, tuple[FloatArray, FloatArray]],
    ) -> Prepared:
        if isinstance(found, BadImage) or digest is None:
            return Prepared(reason=str(found))
        if digest in known:
            return Prepared(digest, known=known[digest])
        try:
            with decoded_pixels(
                found, self._limits, self._budget, target=self._encoder.decode_target
            ) as decoded:
                pixels = self._encoder.preprocess(decoded)
                del decoded  # before its memory is another's
        except BadImage as error:
            return Prepared(digest, reason=str(error))
        return Prepared(digest, pixels=pixels)
