"""The backfill job: a table in, its filled copy and a ledger of every decision out.

Four stages. The first opens each image once and keeps its embedding in the run's folder; a later
run over the same images, with another schema or target, opens none. The second reads the
attributes' cells and learns from those that are known. The third decides, stretch by stretch, and
writes each stretch's part of the ledger. The fourth writes the filled copy from table and ledger.
A job that was killed goes on where it was; ``state.json`` in its folder says where that is.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rac.attributes.cells import MISSING, OUTSIDE
from rac.attributes.columns import CellReader, DistinctCells, check_columns, fill_column
from rac.attributes.decide import Decider
from rac.attributes.features import fit_filler
from rac.attributes.filler import Filler
from rac.attributes.given import given_attributes
from rac.attributes.ledger import PART_ROWS, Decision, Ledger
from rac.attributes.rows import Cells
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema
from rac.attributes.store import StoredEmbeddings, ensure_store, stretches
from rac.attributes.summary import AttributeSummary, FillSummary, summarise
from rac.attributes.threshold import CONFIDENCE
from rac.embedding import EmbeddingCache
from rac.embedding.stages import Stages
from rac.embedding.stream import embed_rows
from rac.encoders.base import Encoder
from rac.errors import InputError, JobFailed
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Table, write_like

_BATCH_ROWS = 8192
_IDS_NAMED = 5


@dataclass(frozen=True)
class FillOptions:
    """How a job is done.

    Attributes:
        max_bad: end the job when more than this share of the images (0 to 1) is bad; None for
            never.
        confidence: in (0, 1), with which each target precision is promised.
        seed: of folds and samples; the same seed gives the same files.
        limit: consider only so many rows, from the start; the copy then holds only these.
        dry_run: decide everything, and write all but the filled copy.
        workers: attributes learnt side by side; one for each processor if None.
        batch_size: images in one forward pass.
        progress: whether progress bars are shown.
    """

    max_bad: float | None = None
    confidence: float = CONFIDENCE
    seed: int = 0
    limit: int | None = None
    dry_run: bool = False
    workers: int | None = None
    batch_size: int = 64
    progress: bool = True

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, not {self.limit}")
        if not 0 < self.confidence < 1:
            raise InputError(f"the confidence must lie between 0 and 1, not {self.confidence:g}")


@dataclass(frozen=True)
class Prepared:
    """A job whose images are embedded and whose cells are read.

    Attributes:
        table: to fill.
        schema: which attributes.
        encoder: of images and prompts.
        options: how.
        store: the embeddings of N rows.
        cells: their coded cells.
        embedded: rows embedded by this process.
        new_columns: columns that the table does not have yet.
    """

    table: Table
    schema: Schema
    encoder: Encoder
    options: FillOptions
    store: StoredEmbeddings
    cells: Cells
    embedded: int
    new_columns: list[str]

    @property
    def key(self) -> str:
        """What the decisions follow from, in one hash."""
        digest = hashlib.sha256()
        facts = [
            version("rac"),
            self.schema.hash,
            self.encoder.identity,
            self.store.manifest.items,
            self.options.confidence,
            self.options.seed,
            len(self.store.ok),
        ]
        digest.update(json.dumps(facts).encode())
        for name, codes in self.cells.codes.items():
            words = self.cells.vocabularies[name].names
            digest.update(json.dumps([name, words]).encode())
            digest.update(np.ascontiguousarray(codes).tobytes())
        return digest.hexdigest()

    def fit(self) -> Filler:
        """Learn all attributes from their known cells."""
        options = self.options
        with progress_bar("learning", None, shown=options.progress):
            return fit_filler(
                self.schema,
                self.cells,
                self.store.embedding,
                self.store.trunk,
                self.store.ok,
                self.encoder,
                confidence=options.confidence,
                seed=options.seed,
                workers=options.workers,
            )


def prepare_fill(
    table: Table,
    schema: Schema,
    encoder: Encoder,
    folder: RunFolder,
    options: FillOptions,
    *,
    cache: EmbeddingCache | None = None,
    image_limits: ImageLimits | None = None,
) -> Prepared:
    """Embed the images, or find them embedded, and read the cells.

    Raises:
        InputError: schema and table do not fit.
        JobFailed: too many bad images, or the table changed while the job ran.
    """
    table.require("image")
    roles = {"image": table.roles.image, "id": table.roles.id}
    new_columns = check_columns(schema, table.schema, roles)
    given = given_attributes(schema, table)
    embed = partial(
        embed_rows,
        base=table.base,
        encoder=encoder,
        cache=cache,
        limits=image_limits,
        stages=Stages(),
    )
    total = table.num_rows()
    with progress_bar("embedding", total, shown=options.progress) as advance:
        done = 0

        def moved(rows: int) -> None:
            nonlocal done
            done += rows
            folder.note("embedding", rows=done, of=total)
            advance(rows)

        store, embedded = ensure_store(
            folder.path / "embeddings",
            table,
            encoder,
            embed,
            batch_size=options.batch_size,
            limit=options.limit,
            max_bad=options.max_bad,
            moved=moved,
        )
    folder.note("reading")
    readers = {**{name: CellReader(one) for name, one in schema.attributes.items()}, **given}
    for _, batch in stretches(table, _BATCH_ROWS, limit=options.limit):
        for reader in readers.values():
            reader.read(DistinctCells.read(table, batch, reader.attribute.column))
    read = {name: reader.finish() for name, reader in readers.items()}
    cells = Cells(
        {name: vocabulary for name, (vocabulary, _) in read.items()},
        {name: codes for name, (_, codes) in read.items()},
    )
    if {len(codes) for codes in cells.codes.values()} != {len(store.ok)}:
        raise _changed(table)
    return Prepared(table, schema, encoder, options, store, cells, embedded, new_columns)


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
    what it was), ``ledger.parquet/``, ``quarantine.csv`` (bad images), ``run.json``,
    ``summary.json``, ``state.json`` and ``embeddings/``. A second run replaces them; one with the
    same table, schema and options writes the same again.

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
        InputError: schema and table do not fit, or the folder is in use.
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
            batches = _filled_batches(job, decided.ledger)
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
            attributes=summaries(job, filler, decided.counts),
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


@dataclass(frozen=True)
class Decided:
    """The decisions of a job.

    Attributes:
        ledger: holds them, published or not.
        counts: how often each (attribute, decision) occurs.
        before: rows that an earlier run had decided.
    """

    ledger: Ledger
    counts: Counter[tuple[str, str]]
    before: int


def decide_all(
    job: Prepared, filler: Filler, folder: RunFolder, metadata: Mapping[str, Any]
) -> Decided:
    """Decide every cell, part by part; parts that an unfinished run has left are kept."""
    key = str(metadata["key"])
    counts: Counter[tuple[str, str]] = Counter()
    rows = len(job.store.ok)
    whole = range(-(-rows // PART_ROWS))
    if folder.ledger.metadata().get("key") == key and folder.ledger.parts() == list(whole):
        for number in whole:
            counts.update(_counted(folder.ledger.read(number, ["attribute", "decision"])))
        return Decided(folder.ledger, counts, rows)
    drafts = folder.draft_ledger(key, str(metadata["created"]))
    there = [number for number in drafts.parts() if number in whole]
    # Parts are written in order, so those that are there are the first ones.
    start = len(there) * PART_ROWS
    for number in there:
        counts.update(_counted(drafts.read(number, ["attribute", "decision"])))
    decider = Decider(job.table, job.store, job.cells, filler)
    waiting: list[pa.RecordBatch] = []
    done = min(start, rows)
    with progress_bar("deciding", rows, shown=job.options.progress) as advance:
        advance(done)
        for first, batch in stretches(job.table, _BATCH_ROWS, start=start, limit=job.options.limit):
            if first + batch.num_rows > rows:
                raise _changed(job.table)
            waiting.extend(decider.decide(batch, first))
            done = first + batch.num_rows
            advance(batch.num_rows)
            if done % PART_ROWS == 0 or done == rows:
                number = (done - 1) // PART_ROWS
                drafts.write_part(number, waiting)
                counts.update(_counted(pa.Table.from_batches(waiting)))
                waiting = []
                folder.note("deciding", rows=done, of=rows)
    if done != rows:
        raise _changed(job.table)
    return Decided(drafts, counts, min(start, rows))


def summaries(
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


def written_values(schema: Schema, part: pa.Table) -> dict[str, tuple[list[int], list[str]]]:
    """Give for each attribute the rows that were written and what was written into them."""
    columns = part.select(["row", "attribute", "decision", "value"]).to_pydict()
    found: dict[str, tuple[list[int], list[str]]] = {name: ([], []) for name in schema.attributes}
    absent = {name for name, one in schema.attributes.items() if one.not_applicable is not None}
    for row, name, decision, value in zip(*columns.values(), strict=True):
        written = decision == Decision.FILLED or (
            decision == Decision.NOT_APPLICABLE and name in absent
        )
        if written:
            found[name][0].append(row)
            found[name][1].append(value)
    return found


def _filled_batches(job: Prepared, ledger: Ledger) -> Iterator[pa.RecordBatch]:
    written: dict[str, dict[int, str]] = {}
    there = set(ledger.parts())
    number = -1
    done = 0
    for first, batch in stretches(job.table, _BATCH_ROWS, limit=job.options.limit):
        if first // PART_ROWS != number:
            number = first // PART_ROWS
            if number not in there:
                raise _changed(job.table)
            found = written_values(job.schema, ledger.read(number))
            written = {
                name: dict(zip(rows, values, strict=True)) for name, (rows, values) in found.items()
            }
        filled = batch
        for name, attribute in job.schema.attributes.items():
            here = written[name]
            # Rows come in order, so those of this batch are the first ones left.
            values: dict[int, str] = {}
            for row in list(here):
                if row >= first + batch.num_rows:
                    break
                values[row - first] = here.pop(row)
            filled = fill_column(job.table, filled, attribute, values)
        done = first + batch.num_rows
        yield filled
    if done != len(job.store.ok):
        raise _changed(job.table)


def _metadata(job: Prepared, folder: RunFolder) -> dict[str, Any]:
    key = job.key
    packages = ("numpy", "pyarrow", "scikit-learn", "torch")
    return {
        "key": key,
        "table": job.table.source,
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


def _counted(part: pa.Table) -> Counter[tuple[str, str]]:
    plain = pa.table(
        {name: part.column(name).cast(pa.string()) for name in ("attribute", "decision")}
    )
    counted = plain.group_by(["attribute", "decision"]).aggregate([([], "count_all")])
    return Counter(
        {(row["attribute"], row["decision"]): row["count_all"] for row in counted.to_pylist()}
    )


def _duplicates(store: StoredEmbeddings) -> tuple[int, list[str]]:
    counts = store.ids.value_counts()
    times = counts.field("counts").to_numpy(zero_copy_only=False)
    repeated = counts.field("values").filter(pa.array(times > 1))
    return int((times - 1).sum()), repeated.slice(0, _IDS_NAMED).to_pylist()


def _changed(table: Table) -> JobFailed:
    return JobFailed(f"{table.source}: the table changed while the job ran; run it again")
