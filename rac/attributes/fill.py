"""The backfill job: a table in, its filled copy and a ledger of every decision out.

Three passes. The first opens each image once and keeps its embedding in the run's folder; a later
run over the same images, with another schema or target, opens none. The second reads the
attributes' cells and learns from those that are known. The third walks the table again and writes
the copy and the ledger side by side, each whole or not at all.
"""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from rac.attributes.cells import MISSING, OUTSIDE, CodeArray
from rac.attributes.columns import CellReader, check_columns, fill_column
from rac.attributes.features import fit_filler
from rac.attributes.filler import Choice, Filler
from rac.attributes.ledger import Decision, LedgerRow, LedgerWriter, write_ledger
from rac.attributes.schema import Schema
from rac.attributes.store import ItemsDigest, StoredEmbeddings, reusable_store, write_store
from rac.attributes.summary import AttributeSummary, summarise
from rac.attributes.threshold import CONFIDENCE
from rac.embedding import embed_table
from rac.embedding.cache import EmbeddingCache
from rac.encoders.base import Encoder
from rac.errors import InputError, JobFailed
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Table, write_like
from retrieval_index.files import replace_file

_CHUNK_ROWS = 1024
_NEIGHBOURS_NOTED = 5
_IDS_NAMED = 5


@dataclass(frozen=True)
class FillSummary:
    """What a job did.

    Attributes:
        table: what was filled, as the user called it.
        rows: rows considered.
        bad_images: rows whose image could not be read.
        bad_reasons: how many of these for each reason.
        attributes: the figures of each attribute, by name.
        new_columns: columns that the table did not have.
        duplicate_ids: rows whose id an earlier row has too; the ledger's ``row`` tells them apart.
        first_duplicates: some of these ids.
        images_opened: images read in this run; 0 where the run's folder had all embeddings.
        seconds: by stage: embed, fit, write.
        encoder: the encoder's name.
        encoder_identity: what its weights and preprocessing hash to.
        schema_hash: what the schema's meaning hashes to.
        dry_run: whether the filled copy was left out.
        files: what was written, by kind.
    """

    table: str
    rows: int
    bad_images: int
    bad_reasons: dict[str, int]
    attributes: dict[str, AttributeSummary]
    new_columns: list[str]
    duplicate_ids: int
    first_duplicates: list[str]
    images_opened: int
    seconds: dict[str, float]
    encoder: str
    encoder_identity: str
    schema_hash: str
    dry_run: bool
    files: dict[str, str]

    @property
    def missing(self) -> int:
        """Missing cells over all attributes."""
        return sum(one.missing for one in self.attributes.values())

    @property
    def filled(self) -> int:
        """Filled cells over all attributes."""
        return sum(one.filled for one in self.attributes.values())

    @property
    def coverage(self) -> float | None:
        """Filled / missing over all attributes; None where nothing was missing."""
        return self.filled / self.missing if self.missing else None

    def as_json(self) -> dict[str, Any]:
        """Give the summary as plain data, as ``summary.json`` holds it."""
        return {
            "table": self.table,
            "rows": self.rows,
            "bad_images": self.bad_images,
            "bad_reasons": self.bad_reasons,
            "missing": self.missing,
            "filled": self.filled,
            "coverage": self.coverage,
            "attributes": {name: one.as_json() for name, one in self.attributes.items()},
            "new_columns": self.new_columns,
            "duplicate_ids": self.duplicate_ids,
            "first_duplicates": self.first_duplicates,
            "images_opened": self.images_opened,
            "seconds": self.seconds,
            "encoder": self.encoder,
            "encoder_identity": self.encoder_identity,
            "schema_hash": self.schema_hash,
            "dry_run": self.dry_run,
            "files": self.files,
        }


def fill_table(
    table: Table,
    schema: Schema,
    encoder: Encoder,
    out: Path,
    *,
    max_bad: float | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    limit: int | None = None,
    dry_run: bool = False,
    batch_size: int = 64,
    cache: EmbeddingCache | None = None,
    image_limits: ImageLimits | None = None,
    progress: bool = True,
) -> FillSummary:
    """Fill the missing attribute cells of a table, and write down why.

    Writes into ``out``: ``filled.<ext>`` (the table's own format; every cell that is not filled is
    what it was), ``ledger.parquet``, ``quarantine.csv`` (bad images), ``run.json``,
    ``summary.json`` and ``embeddings/``. A second run replaces them.

    Rows are told apart by their number, so ids need not be unique; repeated ones are reported.

    Args:
        table: what to fill.
        schema: which attributes, with which values and targets.
        encoder: embeds images and prompts.
        out: the run's folder.
        max_bad: end the job when more than this share of the images (0 to 1) is bad; None for
            never.
        confidence: in (0, 1), with which each target precision is promised.
        seed: of folds and samples; the same seed gives the same files.
        limit: consider only so many rows, from the start; the copy then holds only these.
        dry_run: decide everything, and write all but the filled copy.
        batch_size: images in one forward pass.
        cache: where embeddings are looked up and kept beyond this run's folder.
        image_limits: bounds on what an image may be.
        progress: whether progress bars are shown.

    Raises:
        InputError: schema and table do not fit, or the folder is in use.
        JobFailed: too many bad images, or the table changed while the job ran.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    if not 0 < confidence < 1:
        raise InputError(f"the confidence must lie between 0 and 1, not {confidence:g}")
    table.require("image")
    roles = {"image": table.roles.image, "id": table.roles.id}
    new_columns = check_columns(schema, table.schema, roles)
    target = out / f"filled{table.suffix}"
    if target.exists() and Path(table.source).exists() and target.samefile(table.source):
        raise InputError(f"{target} is the table itself; give another folder to write into")
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{out}: another job is writing into this folder") from None
    with lock:
        clock = [time.perf_counter()]
        store, opened = _embeddings(
            _Head(table, limit), encoder, out, max_bad, batch_size, cache, image_limits, progress
        )
        clock.append(time.perf_counter())
        job = _fit(_Head(table, limit), schema, encoder, store, confidence, seed, progress)
        clock.append(time.perf_counter())
        files = {"ledger": str(out / "ledger.parquet"), "quarantine": str(out / "quarantine.csv")}
        metadata = {
            "table": table.source,
            "encoder": encoder.name,
            "encoder_identity": encoder.identity,
            "schema_hash": schema.hash,
            "schema": schema.model_dump(mode="json"),
            "confidence": confidence,
            "seed": seed,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "rac": version("rac"),
        }
        with write_ledger(out / "ledger.parquet", metadata) as ledger:
            batches = job.decide(ledger, progress)
            if dry_run:
                for _ in batches:
                    pass
            else:
                files["filled"] = str(write_like(table, out, "filled", batches))
        _write_quarantine(out / "quarantine.csv", store)
        clock.append(time.perf_counter())
        stages = zip(("embed", "fit", "write"), clock, clock[1:], strict=False)
        summary = FillSummary(
            table=table.source,
            rows=len(store.ok),
            bad_images=len(store.bad),
            bad_reasons=dict(Counter(reason.partition(":")[0] for _, _, reason in store.bad)),
            attributes=job.summaries(),
            new_columns=new_columns,
            duplicate_ids=job.duplicate_ids,
            first_duplicates=job.first_duplicates,
            images_opened=opened,
            seconds={stage: round(end - start, 3) for stage, start, end in stages},
            encoder=encoder.name,
            encoder_identity=encoder.identity,
            schema_hash=schema.hash,
            dry_run=dry_run,
            files=files,
        )
        options = {
            "max_bad": max_bad,
            "limit": limit,
            "dry_run": dry_run,
            "batch_size": batch_size,
            "image": table.roles.image,
            "id": table.roles.id,
        }
        versions = {name: version(name) for name in ("numpy", "pyarrow", "scikit-learn", "torch")}
        _write_json(
            out / "run.json",
            {**metadata, "options": options, "versions": versions, "summary": summary.as_json()},
        )
        _write_json(out / "summary.json", summary.as_json())
    return summary


class _Head(Table):
    """The first rows of a table: the same roles and columns, fewer rows."""

    suffix = ""

    def __init__(self, table: Table, limit: int | None) -> None:
        # Everything but reading is the table's own; nothing is looked up or checked again.
        self.__dict__.update(table.__dict__)
        self._table = table
        self._limit = limit

    def num_rows(self) -> int | None:
        rows = self._table.num_rows()
        if self._limit is None or rows is None:
            return rows if self._limit is None else None
        return min(rows, self._limit)

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        left = self._limit
        if left is None:
            yield from self._table.batches(size)
            return
        for batch in self._table.batches(min(size, left)):
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                return

    def _write(self, path: Path, schema: pa.Schema, batches: Any) -> None:
        raise NotImplementedError("a head is only read")


def _embeddings(
    table: Table,
    encoder: Encoder,
    out: Path,
    max_bad: float | None,
    batch_size: int,
    cache: EmbeddingCache | None,
    image_limits: ImageLimits | None,
    progress: bool,
) -> tuple[StoredEmbeddings, int]:
    """Give the run's embeddings, and how many images were opened for them."""
    folder = out / "embeddings"
    if (folder / "manifest.json").exists():
        digest = ItemsDigest(table.base)
        for batch in table.batches(_CHUNK_ROWS):
            digest.add(table.items(batch))
        store = reusable_store(folder, encoder, digest.hexdigest())
        if store is not None:
            if max_bad is not None and len(store.bad) > max_bad * len(store.ok):
                raise JobFailed(
                    f"{len(store.bad)} of {len(store.ok)} images are bad, more than --max-bad "
                    f"{max_bad:g} allows; one of the reasons: {store.bad[0][2]}"
                )
            return store, 0
    batches = embed_table(
        table,
        encoder,
        batch_size=batch_size,
        max_bad=max_bad,
        cache=cache,
        limits=image_limits,
        progress=progress,
    )
    store = write_store(folder, table, encoder, batches)
    return store, len(store.ok)


def _fit(
    table: Table,
    schema: Schema,
    encoder: Encoder,
    store: StoredEmbeddings,
    confidence: float,
    seed: int,
    progress: bool,
) -> _Job:
    readers = {name: CellReader(attribute) for name, attribute in schema.attributes.items()}
    for batch in table.batches(_CHUNK_ROWS):
        for reader in readers.values():
            reader.read(_texts(table, batch, reader.attribute.column))
    read = {name: reader.finish() for name, reader in readers.items()}
    codes = {name: codes for name, (_, codes) in read.items()}
    rows = {len(one) for one in codes.values()}
    if rows != {len(store.ok)}:
        raise JobFailed(f"{table.source}: the table changed while the job ran; run it again")
    with progress_bar("learning", None, shown=progress):
        filler = fit_filler(
            {name: vocabulary for name, (vocabulary, _) in read.items()},
            codes,
            store.embedding,
            store.trunk,
            store.ok,
            encoder,
            confidence=confidence,
            seed=seed,
        )
    return _Job(table, schema, store, filler, codes)


class _Job:
    """The third pass: decides every cell, writes the ledger, gives the filled batches."""

    def __init__(
        self,
        table: Table,
        schema: Schema,
        store: StoredEmbeddings,
        filler: Filler,
        codes: Mapping[str, CodeArray],
    ) -> None:
        self._table = table
        self._schema = schema
        self._store = store
        self._filler = filler
        self._codes = codes
        self._filled: Counter[str] = Counter()
        self._faults = {row: reason for row, _, reason in store.bad}
        self._ids = _neighbour_ids(filler, store)
        self.duplicate_ids, self.first_duplicates = _duplicates(store)

    def decide(self, ledger: LedgerWriter, progress: bool) -> Iterator[pa.RecordBatch]:
        """Decide the table's cells, batch by batch, and give the batches for the copy."""
        first = 0
        with progress_bar("filling", len(self._store.ok), shown=progress) as advance:
            for batch in self._table.batches(_CHUNK_ROWS):
                yield self._decide_batch(batch, first, ledger)
                first += batch.num_rows
                advance(batch.num_rows)
        if first != len(self._store.ok):
            raise JobFailed(
                f"{self._table.source}: the table changed while the job ran; run it again"
            )

    def summaries(self) -> dict[str, AttributeSummary]:
        """Give the figures of each attribute; complete when ``decide`` has ended."""
        summaries = {}
        for name, codes in self._codes.items():
            missing = codes == MISSING
            summaries[name] = summarise(
                self._filler.attributes[name],
                cells=len(codes),
                missing=int(missing.sum()),
                outside=int((codes == OUTSIDE).sum()),
                bad_images=int((missing & ~self._store.ok).sum()),
                filled=self._filled[name],
            )
        return summaries

    def _decide_batch(
        self, batch: pa.RecordBatch, first: int, ledger: LedgerWriter
    ) -> pa.RecordBatch:
        part = slice(first, first + batch.num_rows)
        ok = self._store.ok[part]
        if len(ok) != batch.num_rows:
            raise JobFailed(
                f"{self._table.source}: the table changed while the job ran; run it again"
            )
        codes = {name: whole[part] for name, whole in self._codes.items()}
        asked = {name: (one == MISSING) & ok for name, one in codes.items()}
        choices = self._filler.choose(
            np.asarray(self._store.embedding[part]), np.asarray(self._store.trunk[part]), asked
        )
        ids = self._store.ids.slice(first, batch.num_rows).to_pylist()
        filled = batch
        for name, attribute in self._schema.attributes.items():
            texts = _texts(self._table, batch, attribute.column)
            rows = self._ledger_rows(
                name, texts, ids, first, codes[name], np.flatnonzero(asked[name]), choices[name]
            )
            ledger.write(rows)
            values = {
                row.row - first: row.value
                for row in rows
                if row.decision is Decision.FILLED and row.value is not None
            }
            self._filled[name] += len(values)
            filled = fill_column(self._table, filled, attribute, values)
        return filled

    def _ledger_rows(
        self,
        name: str,
        texts: list[str | None],
        ids: list[str],
        first: int,
        codes: CodeArray,
        asked: Any,
        choice: Choice,
    ) -> list[LedgerRow]:
        one = self._filler.attributes[name]
        place_of = {row: place for place, row in enumerate(asked.tolist())}
        rows = []
        for row, (text, item, code) in enumerate(zip(texts, ids, codes.tolist(), strict=True)):
            number = first + row
            if code != MISSING:
                reason = "the value is not one of the schema's; kept" if code == OUTSIDE else None
                rows.append(
                    LedgerRow(number, item, name, Decision.KNOWN, text, text, reason=reason)
                )
            elif (place := place_of.get(row)) is None:
                rows.append(
                    LedgerRow(
                        number,
                        item,
                        name,
                        Decision.BAD_IMAGE,
                        text,
                        reason=self._faults.get(number),
                    )
                )
            else:
                rows.append(
                    self._chosen(number, item, name, text, one.threshold.above, choice, place)
                )
        return rows

    def _chosen(
        self,
        number: int,
        item: str,
        name: str,
        text: str | None,
        above: float | None,
        choice: Choice,
        place: int,
    ) -> LedgerRow:
        one = self._filler.attributes[name]
        names = one.vocabulary.names
        alternatives = [
            (names[code], chance)
            for code, chance in zip(
                choice.best[place].tolist(), choice.probability[place].tolist(), strict=True
            )
            if code >= 0
        ]
        neighbours = [
            neighbour
            for neighbour in choice.neighbours[place, :_NEIGHBOURS_NOTED].tolist()
            if neighbour >= 0
        ]
        return LedgerRow(
            row=number,
            id=item,
            attribute=name,
            decision=Decision.FILLED if choice.filled[place] else Decision.ABSTAINED,
            before=text,
            value=alternatives[0][0] if alternatives else None,
            probability=alternatives[0][1] if alternatives else None,
            threshold=above,
            source=one.source,
            alternatives=alternatives,
            neighbour_rows=neighbours,
            neighbour_ids=[self._ids[neighbour] for neighbour in neighbours],
            reason=choice.reasons[place],
        )


def _texts(table: Table, batch: pa.RecordBatch, column: str) -> list[str | None]:
    if column not in batch.schema.names:
        return [None] * batch.num_rows
    return table.strings(batch, column)


def _neighbour_ids(filler: Filler, store: StoredEmbeddings) -> dict[int, str]:
    """Give the ids of all rows that can be a neighbour, by row number."""
    rows = np.unique(
        np.concatenate([np.zeros(0, np.int64)] + [one.rows for one in filler.attributes.values()])
    )
    return dict(zip(rows.tolist(), store.ids.take(pa.array(rows)).to_pylist(), strict=True))


def _duplicates(store: StoredEmbeddings) -> tuple[int, list[str]]:
    counts = store.ids.value_counts()
    times = counts.field("counts").to_numpy(zero_copy_only=False)
    repeated = counts.field("values").filter(pa.array(times > 1))
    return int((times - 1).sum()), repeated.slice(0, _IDS_NAMED).to_pylist()


def _write_quarantine(path: Path, store: StoredEmbeddings) -> None:
    """Write the bad images: id, row (from 0), image, reason (a word), detail (a sentence)."""
    with (
        replace_file(path) as draft,
        open(draft, "w", encoding="utf-8", newline="") as handle,
    ):
        writer = csv.writer(handle)
        writer.writerow(["id", "row", "image", "reason", "detail"])
        for row, image, fault in store.bad:
            reason, _, detail = fault.partition(": ")
            writer.writerow([store.ids[row].as_py(), row, image or "", reason, detail])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replace_file(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")
