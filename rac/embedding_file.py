"""Embeddings as a Parquet file that says which encoder made it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from rac.embedding import EmbeddedBatch, embed_table
from rac.embedding_cache import EmbeddingCache
from rac.encoders import Encoder
from rac.images import ImageLimits
from rac.tables import Table
from retrieval_index.files import replace_file

METADATA_KEY = b"rac.embeddings"


class EmbeddingSummary(BaseModel):
    """What an embedding job did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    rows: int
    bad_images: int
    encoder: str
    encoder_identity: str
    embedding_dim: int
    trunk_dim: int


def write_embeddings(
    table: Table,
    encoder: Encoder,
    out: Path,
    *,
    cache: EmbeddingCache | None = None,
    max_bad: float | None = None,
    limits: ImageLimits | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> EmbeddingSummary:
    """Embed a table into ``out/embeddings.parquet``, written whole or not at all.

    One row for each row of the table, in its order: ``id``, ``embedding`` (D float32), ``trunk``
    (T float32), ``status`` (``ok`` or ``bad``), ``reason``, ``content_hash``. The vectors of a bad
    image are null. The schema's metadata names the encoder and its identity.

    Raises:
        JobFailed: too many bad images (see :func:`rac.embedding.embed_table`).
    """
    target = out / "embeddings.parquet"
    metadata = {"encoder": encoder.name, "encoder_identity": encoder.identity}
    schema = _schema(encoder).with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    rows = bad = 0
    with replace_file(target) as draft, pq.ParquetWriter(draft, schema) as writer:
        for batch in embed_table(
            table,
            encoder,
            batch_size=batch_size,
            max_bad=max_bad,
            cache=cache,
            limits=limits,
            progress=progress,
        ):
            writer.write_batch(_record_batch(batch, schema))
            rows += len(batch.items)
            bad += int((~batch.ok).sum())
    return EmbeddingSummary(
        file=str(target),
        rows=rows,
        bad_images=bad,
        encoder=encoder.name,
        encoder_identity=encoder.identity,
        embedding_dim=encoder.embedding_dim,
        trunk_dim=encoder.trunk_dim,
    )


def _schema(encoder: Encoder) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), encoder.embedding_dim)),
            pa.field("trunk", pa.list_(pa.float32(), encoder.trunk_dim)),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string()),
            pa.field("content_hash", pa.string()),
        ]
    )


def _record_batch(batch: EmbeddedBatch, schema: pa.Schema) -> pa.RecordBatch:
    bad = pa.array(~batch.ok)
    columns = [
        pa.array([item.id for item in batch.items], pa.string()),
        pa.FixedSizeListArray.from_arrays(
            pa.array(batch.embedding.reshape(-1)), batch.embedding.shape[1], mask=bad
        ),
        pa.FixedSizeListArray.from_arrays(
            pa.array(batch.trunk.reshape(-1)), batch.trunk.shape[1], mask=bad
        ),
        pa.array(["ok" if ok else "bad" for ok in batch.ok], pa.string()),
        pa.array(batch.reasons, pa.string()),
        pa.array(batch.hashes, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
