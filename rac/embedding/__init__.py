"""From the images of a table to embeddings: the stream, the cache, the job on disk."""

from __future__ import annotations

from rac.embedding.batch import EmbeddedBatch, Features
from rac.embedding.cache import EmbeddingCache
from rac.embedding.stream import collect_features, embed_table

__all__ = ["EmbeddedBatch", "EmbeddingCache", "Features", "collect_features", "embed_table"]
