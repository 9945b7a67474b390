"""The backfill job: a table in, its filled copy and a ledger of every decision out.

Four stages. The first opens each image once and keeps its embedding in the run's folder; a later
run over the same images, with another schema or target, opens none. The second reads the
attributes' cells and learns from those that are known. The third decides, stretch by stretch, and
writes each stretch's part of the ledger. The fourth writes the filled copy from table and ledger.
A job that was killed goes on where it was; ``state.json`` in its folder says where that is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.attributes.cells import MISSING, OUTSIDE
from rac.attributes.decide_job import decide_all
from rac.attributes.filled_copy import filled_batches
from rac.attributes.ledger import Decision
from rac.attributes.model.filler import Filler
from rac.attributes.own_fills import refuse_own_fills
from rac.attributes.prepare import FillOptions, Prepared, prepare_fill
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema
from rac.attributes.store import StoredEmbeddings
from rac.attributes.summary import AttributeSummary, FillSummary, summarise
from rac.embedding import EmbeddingCache
from rac.encoders.base import Encoder
from rac.errors import InputError
from rac.images import ImageLimits
from rac.tables import Table, write_like

_IDS_NAMED = 5


def fill_table(
    table: Table,
    schema: Schema,
    encoder: Encoder,
    out: Path,
    options: FillOptions | None = None,
    *,
    cache: EmbeddingCache | None = None,
    image_limits: ImageLimits | None = None,
    origin: Mapping[str, Any] | None = None,
    **more: Any,
) -> FillSummary:
    """Fill the missing attribute cells of a table, and write down why.

    Writes into ``out``: ``filled.<ext>`` (the table's own format; every cell that is not filled is
    what it was), ``ledger.parquet``, ``quarantine.csv`` (bad images), ``run.json`` (which vouches
    for the ledger, and is written last), ``summary.json``, ``state.json`` and ``embeddings/``. A
    second run replaces them: it decides about every cell that is missing in the table as it is
    then. One with the same table, schema and options writes the same again, also where files of
    the run before are damaged. Any other one is refused where the record of the run before is
    missing or damaged, since that run's fills could not be told from known cells.

    Rows are told apart by their number, so ids need not be unique; repeated ones are reported.

    Args:
        table: what to fill.
        schema: which attributes, with which values and targets.
        encoder: embeds images and prompts.
        out: the run's folder.
        options: how; the defaults if None.
        cache: where embeddings are looked up and kept beyond this run's folder.
        image_limits: bounds on what an image may be.
        origin: noted in ``run.json``, for who has to find the table again.
        more: fields of :class:`FillOptions`, in place of ``options``.

    Raises:
        InputError: schema and table do not fit, the folder is in use, the table holds what the
            folder's run before had filled in, or the record of that run is missing or damaged.
        JobFailed: too many bad images, or the table changed while the job ran.
    """
    options = options or FillOptions(**more)
    target = out / f"filled{table.suffix}"
    if target.exists() and Path(table.source).exists() and target.samefile(table.source):
        raise InputError(f"{target} is the table itself; give another folder to write into")
    with RunFolder.locked(out) as folder:
        clock = [time.perf_counter()]
        job = prepare_fill(
            table, schema, encoder, folder, options, cache=cache, image_limits=image_limits
        )
        refuse_own_fills(job, folder, kept_elsewhere="postgres" in (origin or {}))
        clock.append(time.perf_counter())
        folder.note("learning")
        filler = job.fit()
        clock.append(time.perf_counter())
        metadata = _metadata(job, folder)
        decided = decide_all(job, filler, folder, metadata)
        clock.append(time.perf_counter())
        files = {"ledger": str(folder.ledger.path), "quarantine": str(out / "quarantine.csv")}
        if not options.dry_run:
            folder.note("writing")
            batches = filled_batches(job, decided.ledger)
            with folder.writing(decided.ledger, target):
                files["filled"] = str(write_like(table, out, "filled", batches))
        folder.publish_ledger(decided.ledger, metadata)
        folder.write_quarantine(job.store)
        clock.append(time.perf_counter())
        stages = zip(("embed", "fit", "decide", "write"), clock, clock[1:], strict=False)
        duplicates, first_duplicates = _duplicates(job.store)
        summary = FillSummary(
            table=table.source,
            rows=len(job.store.ok),
            bad_images=len(job.store.bad),
            bad_reasons=dict(Counter(reason.partition(":")[0] for _, _, reason in job.store.bad)),
            attributes=_summaries(job, filler, decided.counts),
            new_columns=job.new_columns,
            duplicate_ids=duplicates,
            first_duplicates=first_duplicates,
            images_opened=job.embedded,
            seconds={stage: round(end - start, 3) for stage, start, end in stages},
            encoder=encoder.name,
            encoder_identity=encoder.identity,
            schema_hash=schema.hash,
            dry_run=options.dry_run,
            files=files,
            resumed_rows=decided.before,
            damaged=folder.damaged,
        )
        noted = {
            "max_bad": options.max_bad,
            "limit": options.limit,
            "dry_run": options.dry_run,
            "batch_size": options.batch_size,
            "image": table.roles.image,
            "id": table.roles.id,
            **(origin or {}),
        }
        folder.write_run({**metadata, "options": noted, "summary": summary.as_json()})
        folder.note("done")
    return summary


def _summaries(
    job: Prepared, filler: Filler, counts: Mapping[tuple[str, str], int]
) -> dict[str, AttributeSummary]:
    """Give the figures of each attribute out of the ledger's counts."""
    found = {}
    for name in job.schema.attributes:
        codes = job.cells.codes[name]
        found[name] = summarise(
            filler.attributes[name],
            cells=len(codes),
            missing=int((codes == MISSING).sum()),
            outside=int((codes == OUTSIDE).sum()),
            bad_images=counts.get((name, Decision.BAD_IMAGE), 0),
            filled=counts.get((name, Decision.FILLED), 0),
            not_applicable=counts.get((name, Decision.NOT_APPLICABLE), 0),
        )
    return found


def _metadata(job: Prepared, folder: RunFolder) -> dict[str, Any]:
    key = job.key
    packages = ("numpy", "pyarrow", "scikit-learn", "torch")
    return {
        "key": key,
        "table": _from_anywhere(job.table.source),
        "encoder": job.encoder.name,
        "encoder_identity": job.encoder.identity,
        "schema_hash": job.schema.hash,
        "schema": job.schema.model_dump(mode="json"),
        "memory": job.store.manifest.items,
        "confidence": job.options.confidence,
        "seed": job.options.seed,
        # Decisions that stay the same keep their time.
        "created": folder.created(key) or datetime.now(UTC).isoformat(timespec="seconds"),
        "rac": version("rac"),
        "versions": {name: version(name) for name in packages},
    }


def _from_anywhere(source: str) -> str:
    """Give the name by which a table is also found from another working folder."""
    kind = "imagefolder:" if source.startswith("imagefolder:") else ""
    path = Path(source.removeprefix(kind)).expanduser()
    return f"{kind}{path.absolute()}" if path.exists() else source


def _duplicates(store: StoredEmbeddings) -> tuple[int, list[str]]:
    counts = store.ids.value_counts()
    times = counts.field("counts").to_numpy(zero_copy_only=False)
    repeated = counts.field("values").filter(pa.array(times > 1))
    return int((times - 1).sum()), repeated.slice(0, _IDS_NAMED).to_pylist()
