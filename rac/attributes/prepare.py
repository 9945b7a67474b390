"""What a job starts from: its options, the images embedded, and the cells read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np

from rac.attributes.columns import CellReader, DistinctCells, check_columns
from rac.attributes.context_columns import context_readers
from rac.attributes.model.filler import Filler
from rac.attributes.model.fit import fit_filler
from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import Cells
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema
from rac.attributes.settings import FillSettings
from rac.attributes.store import BATCH_ROWS, StoredEmbeddings, ensure_store, stretches
from rac.attributes.task.sample_size import CONFIDENCE
from rac.embedding import EmbeddingCache
from rac.embedding.stages import Stages
from rac.embedding.stream import embed_rows
from rac.encoders.base import Encoder
from rac.errors import InputError, JobFailed
from rac.images import ImageLimits
from rac.progress import progress_bar
from rac.tables import Table


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
        workers: attributes fitted, and chunks of rows decided, side by side; one for each
            processor if None.
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

    @property
    def settings(self) -> FillSettings:
        """What the answers depend on."""
        return FillSettings(self.confidence, self.seed, self.workers)


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

    @property
    def images(self) -> RowFeatures:
        """What the encoder made of the images."""
        return RowFeatures(self.store.embedding, self.store.trunk, self.store.ok)

    def fit(self) -> Filler:
        """Fit all attributes to their known cells."""
        settings = self.options.settings
        with progress_bar("learning", None, shown=self.options.progress):
            return fit_filler(self.schema, self.cells, self.images, self.encoder, settings)


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
    context = context_readers(schema, table)
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
            limits=image_limits,
            limit=options.limit,
            max_bad=options.max_bad,
            moved=moved,
        )
    folder.note("reading")
    readers = {**{name: CellReader(one) for name, one in schema.attributes.items()}, **context}
    for _, batch in stretches(table, BATCH_ROWS, limit=options.limit):
        for reader in readers.values():
            reader.read(DistinctCells.read(table, batch, reader.attribute.column))
    read = {name: reader.finish() for name, reader in readers.items()}
    cells = Cells(
        {name: vocabulary for name, (vocabulary, _) in read.items()},
        {name: codes for name, (_, codes) in read.items()},
    )
    if {len(codes) for codes in cells.codes.values()} != {len(store.ok)}:
        raise table_changed(table)
    return Prepared(table, schema, encoder, options, store, cells, embedded, new_columns)


def table_changed(table: Table) -> JobFailed:
    """Give the error of a job whose table is not what it was when the job began."""
    return JobFailed(f"{table.source}: the table changed while the job ran; run it again")
