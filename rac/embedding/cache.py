"""Embeddings computed once: a cache on disk keyed by encoder identity and image content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import lmdb
import numpy as np

from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.home import cache_home

_FIRST_MAP_BYTES = 1 << 30


DESCRIPTION = "encoder.json"
"""A file beside the entries that names the encoder."""


def caches_folder() -> Path:
    """Give the folder that holds the caches of all encoders, each named by its identity."""
    return cache_home() / "embeddings"


class EmbeddingCache:
    """Embedding and trunk features by the SHA-256 of an image's bytes, for one encoder.

    One LMDB environment an encoder identity: a changed encoder never sees another's entries, a
    renamed image file is still found, a killed writer leaves what it had committed, and several
    processes may share it. Close it, or use it as a context manager.
    """

    def __init__(self, encoder: Encoder, folder: Path | None = None) -> None:
        """Open or create the cache.

        Args:
            encoder: whose outputs are kept.
            folder: where all caches lie; ``<cache home>/embeddings`` by default.
        """
        self._sizes = (encoder.embedding_dim, encoder.trunk_dim)
        self.path = (folder or caches_folder()) / encoder.identity
        self.path.mkdir(parents=True, exist_ok=True)
        # Who the cache belongs to, for people; its date says when it was used last.
        description = json.dumps({"encoder": encoder.name}) + "\n"
        (self.path / DESCRIPTION).write_text(description, encoding="utf-8")
        self._environment = lmdb.open(str(self.path), map_size=_FIRST_MAP_BYTES, max_readers=512)

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the cache cannot be used afterwards."""
        self._environment.close()

    def get(self, content_hash: str) -> tuple[FloatArray, FloatArray] | None:
        """Give (embedding (D,), trunk (T,)) of an image, or None where it is not known."""
        return self.get_many([content_hash]).get(content_hash)

    def get_many(self, content_hashes: Iterable[str]) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Give (embedding (D,), trunk (T,)) of those images that are known, read-only."""
        wanted = dict.fromkeys(content_hashes)
        try:
            with self._environment.begin() as transaction:
                values = {one: transaction.get(bytes.fromhex(one)) for one in wanted}
        except lmdb.MapResizedError:
            # Another process has let the cache grow past the size that we opened it with.
            self._environment.set_mapsize(0)
            return self.get_many(wanted)
        found = {}
        for one, value in values.items():
            if value is not None and len(value) == 4 * sum(self._sizes):
                numbers = np.frombuffer(value, np.float32)
                found[one] = (numbers[: self._sizes[0]], numbers[self._sizes[0] :])
        return found

    def put(self, entries: dict[str, tuple[FloatArray, FloatArray]]) -> None:
        """Keep (embedding (D,), trunk (T,)) by content hash, all in one transaction."""
        try:
            with self._environment.begin(write=True) as transaction:
                for content_hash, (embedding, trunk) in entries.items():
                    value = np.concatenate([embedding, trunk]).astype(np.float32).tobytes()
                    transaction.put(bytes.fromhex(content_hash), value)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            self.put(entries)
        except lmdb.MapFullError:
            self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            self.put(entries)

    def __len__(self) -> int:
        return int(self._environment.stat()["entries"])
