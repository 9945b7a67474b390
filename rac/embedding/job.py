"""``rac embed`` as a job that can be killed: finished parts stay, the next run goes on behind them.

While it runs, its folder holds ``unfinished/``: what the job is (``job.json``) and the rows done so
far, in parts, each written whole. At the end the parts become ``embeddings.parquet``, and
``manifest.json`` says what was done.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from rac.embedding.bad import BadTally
from rac.embedding.cache import EmbeddingCache
from rac.embedding.own_files import checksum_at
from rac.embedding.parts import EmbeddingJob, Parts
from rac.embedding.stages import Stage, Stages
from rac.embedding.stream import embed_rows, read_rows
from rac.encoders import Encoder
from rac.errors import JobFailed
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Table
from rac.unfinished import held
from retrieval_index.files import replace_file

METADATA_KEY = b"rac.embeddings"
"""Metadata of ``embeddings.parquet``: JSON with the encoder's name and identity."""

_UNFINISHED = "unfinished"


class EmbeddingSummary(BaseModel):
    """What an embedding job did: ``manifest.json``.

    ``seconds``, ``images_per_s`` and ``waited_s`` are those of the last run; ``resumed_rows`` were
    done by runs before it. ``waited_s`` says what the job waited for, by stage. ``runtime`` is null
    where the network had nothing to do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    checksum: str
    """Of the file: XXH3 of 64 bits, in hexadecimal."""
    rows: int
    bad_images: int
    resumed_rows: int
    encoder: str
    encoder_identity: str
    runtime: str | None
    embedding_dim: int
    trunk_dim: int | None
    seconds: float
    images_per_s: float
    waited_s: dict[str, float]


def write_embeddings(
    table: Table,
    encoder: Encoder,
    out: Path,
    *,
    trunk: bool = False,
    cache: EmbeddingCache | None = None,
    max_bad: float | None = None,
    limits: ImageLimits | None = None,
    batch_size: int = 64,
    restart: bool = False,
    progress: bool = True,
) -> EmbeddingSummary:
    """Embed a table into ``out/embeddings.parquet``, written whole or not at all.

    One row for each row of the table, in its order: ``id``, ``embedding`` (D float32), ``trunk``
    (T float32, if asked for), ``status`` (``ok`` or ``bad``), ``reason``, ``content_hash``. The
    vectors of a bad image are null. The schema's metadata names the encoder and its identity.

    A run that was interrupted or killed is gone on with, if table, columns and encoder are still
    the same: of the rows done before, ids and image cells are compared, no image is read.

    Args:
        table: what to embed.
        encoder: what embeds.
        out: the job's folder.
        trunk: whether the trunk features are written too.
        cache: where known embeddings are looked up and new ones kept.
        max_bad: end when more than this share of the images is bad; None for never.
        limits: of images.
        batch_size: images in one forward pass.
        restart: throw away what an unfinished run has left.
        progress: whether a progress bar is shown.

    Raises:
        InputError: the folder holds an unfinished job that is another one, or the table has
            changed meanwhile, or another process works in the folder.
        JobFailed: too many bad images (see :func:`rac.embedding.embed_table`), or a part was
            damaged while the job ran.
    """
    started = time.perf_counter()
    job = EmbeddingJob(
        table=table.source,
        image=table.require("image"),
        id=table.roles.id,
        encoder=encoder.name,
        encoder_identity=encoder.identity,
        trunk=trunk,
    )
    stages = Stages()
    with held(out, f"another process works in {out}; wait for it, or take another folder"):
        parts = Parts.open(out / _UNFINISHED, job, _schema(encoder, trunk), restart=restart)
        resumed = parts.rows
        tally = BadTally(max_bad, rows=parts.rows, bad=parts.bad)
        with progress_bar("embedding", table.num_rows(), shown=progress) as advance:
            advance(resumed)
            for batch in embed_rows(
                parts.after_done(read_rows(table, batch_size), table.source),
                table.base,
                encoder,
                cache=cache,
                limits=limits,
                stages=stages,
            ):
                tally.count(batch.reasons)
                with stages.waiting(Stage.disk):
                    parts.add(batch)
                advance(len(batch.items))
        with stages.waiting(Stage.disk):
            parts.flush()
            parts.settle()
            tally.close()
            target = out / "embeddings.parquet"
            parts.join(target)
            written = checksum_at(target)
        if written is None:
            raise JobFailed(f"{target}: what was written cannot be read again; run it again")
        seconds = time.perf_counter() - started
        summary = EmbeddingSummary(
            file=str(target),
            checksum=written,
            rows=tally.rows,
            bad_images=tally.bad,
            resumed_rows=resumed,
            encoder=encoder.name,
            encoder_identity=encoder.identity,
            runtime=encoder.runtime,
            embedding_dim=encoder.embedding_dim,
            trunk_dim=encoder.trunk_dim if trunk else None,
            seconds=round(seconds, 3),
            images_per_s=round((tally.rows - resumed) / seconds, 1),
            waited_s={stage: round(waited, 3) for stage, waited in stages.seconds.items()},
        )
        with replace_file(out / "manifest.json") as draft:
            draft.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
        parts.remove()
    return summary


def _schema(encoder: Encoder, trunk: bool) -> pa.Schema:
    metadata = {"encoder": encoder.name, "encoder_identity": encoder.identity}
    vectors = {"embedding": encoder.embedding_dim}
    if trunk:
        vectors["trunk"] = encoder.trunk_dim
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            *(pa.field(name, pa.list_(pa.float32(), dim)) for name, dim in vectors.items()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string()),
            pa.field("content_hash", pa.string()),
        ],
        metadata={METADATA_KEY: json.dumps(metadata).encode()},
    )
