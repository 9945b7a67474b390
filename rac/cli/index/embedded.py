"""From a table of images to rows of a memory, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rac.cli.index.options import Space

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from rac.embedding import EmbeddedBatch
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from rac.tables import Item, Table
    from retrieval_index import Batch, Memory


def encoder_for(memory: Memory, name: str | None) -> Encoder:
    """Load the encoder that is asked for, or that made the memory, and refuse another.

    Raises:
        InputError: the memory names a folder, see :func:`rac.encoders.load.usable_name`.
        EncoderMismatch: it is not the one that made the memory.
    """
    from rac.encoders import load_encoder
    from rac.encoders.load import usable_name

    stored = memory.manifest.encoder_name
    network = load_encoder(name or usable_name(stored, memory.folder or "the memory"))
    memory.require(encoder=network.identity)
    return network


class EmbeddedRows:
    """The rows of a table with their vectors; bad images are left out and counted.

    Args:
        table: items with images.
        encoder: embeds them.
        space: which of its outputs the memory holds.
        limits: where images may come from.
        max_bad: share of bad images that ends the job.
        keep: columns of the table to keep beside the rows.
        texts: whether to embed the texts too.
        images_from: the folder that the memory's relative references start from; references of a
            table elsewhere are made absolute.

    Attributes:
        rows: rows given so far.
        bad: images left out so far.
    """

    def __init__(
        self,
        table: Table,
        encoder: Encoder,
        space: Space,
        limits: ImageLimits,
        *,
        max_bad: float | None = None,
        keep: list[str] | None = None,
        texts: bool = False,
        images_from: str | None = None,
    ) -> None:
        from rac.errors import InputError

        self.table = table
        self.encoder = encoder
        self.space = space
        self.limits = limits
        self.max_bad = max_bad
        self.keep = keep or []
        self.texts = texts
        self.rows = 0
        self.bad = 0
        self._first_fault: str | None = None
        self._absolute = table.base is not None and images_from not in (None, base_of(table))
        for column in self.keep:
            if column not in table.columns:
                raise InputError(
                    f"{table.source}: there is no column {column!r} to keep; "
                    f"the columns are {', '.join(table.columns)}"
                )

    def batches(self) -> Iterator[Batch]:
        """Embed the table and give its rows as they come; see ``_embedded``.

        The first ones are made at once, so that a table of which nothing can be used is refused
        before anything is written.
        """
        coming = self._embedded()
        first = next(coming)
        return chain([first], coming)

    def _embedded(self) -> Iterator[Batch]:
        """Embed the table and give its rows as they come.

        Raises:
            InputError: the table has no rows.
            JobFailed: no image can be used, or more than ``max_bad`` are bad.
        """
        from rac.embedding import EmbeddingCache, embed_table
        from rac.errors import InputError, JobFailed

        with EmbeddingCache(self.encoder) as cache:
            for batch in embed_table(
                self.table, self.encoder, cache=cache, max_bad=self.max_bad, limits=self.limits
            ):
                self._count(batch)
                if batch.ok.any():
                    yield self._good(batch)
        if not self.rows and not self.bad:
            raise InputError(f"{self.table.source}: the table has no rows")
        if not self.rows:
            raise JobFailed(
                f"{self.table.source}: none of the {self.bad:,} images can be used; "
                f"{self._first_fault}"
            )
        if self.bad:
            typer.echo(
                f"{self.bad:,} bad images are left out, the first is {self._first_fault}", err=True
            )

    def whole(self) -> Batch:
        """Give all rows as one batch, for an edit that is published at once."""
        import numpy as np
        import pyarrow as pa

        from retrieval_index import Batch

        parts = list(self.batches())
        texts = [np.asarray(part.texts) for part in parts if part.texts is not None]
        return Batch(
            np.concatenate([np.asarray(part.vectors) for part in parts]),
            pa.concat_tables([part.rows for part in parts]),
            np.concatenate(texts) if texts else None,
        )

    def _count(self, batch: EmbeddedBatch) -> None:
        self.rows += int(batch.ok.sum())
        for item, ok, why in zip(batch.items, batch.ok, batch.reasons, strict=True):
            if not ok:
                self.bad += 1
                self._first_fault = self._first_fault or f"{item.id}: {why}"

    def _good(self, batch: EmbeddedBatch) -> Batch:
        from retrieval_index import Batch, make_rows

        ok = batch.ok
        items = [item for item, fine in zip(batch.items, ok, strict=True) if fine]
        rows = make_rows(
            [item.id for item in items],
            labels=[item.label for item in items],
            texts=[item.text for item in items],
            sources=[self._source(item) for item in items],
            content_hashes=[h for h, fine in zip(batch.hashes, ok, strict=True) if fine],
        )
        features = batch.trunk if self.space is Space.trunk else batch.embedding
        return Batch(
            features[ok],
            self._with_kept(rows, batch),
            self._text_vectors(items) if self.texts else None,
        )

    def _source(self, item: Item) -> str | None:
        image = item.image
        if not isinstance(image, str):
            return None
        if not self._absolute or "://" in image or self.table.base is None:
            return image
        return str((self.table.base / image).resolve())

    def _with_kept(self, rows: pa.Table, batch: EmbeddedBatch) -> pa.Table:
        import pyarrow as pa

        from rac.errors import InputError

        given = pa.Table.from_batches([batch.rows]).filter(pa.array(batch.ok))
        for column in self.keep:
            if column in rows.column_names:
                raise InputError(f"--keep {column}: a memory has a column of that name already")
            rows = rows.append_column(column, given.column(column))
        return rows

    def _text_vectors(self, items: list[Item]) -> npt.NDArray[np.float32]:
        import numpy as np

        vectors = np.zeros((len(items), self.encoder.embedding_dim), dtype=np.float32)
        told = [number for number, item in enumerate(items) if item.text]
        vectors[told] = self.encoder.encode_texts([items[n].text or "" for n in told])
        return vectors


def base_of(table: Table) -> str | None:
    """Give the folder that a table's relative image references start from."""
    base: Path | None = table.base
    return None if base is None else str(base.resolve())
