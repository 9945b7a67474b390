"""The memory: embedded items that can be looked up by nearness, in a folder or in RAM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrieval_index.arrays import BoolArray, FloatArray, IntArray, as_vectors
from retrieval_index.contents import Contents, load_contents, write_contents
from retrieval_index.errors import BadRows, CorruptMemory, EncoderMismatch, MemoryFault
from retrieval_index.flat import flat_search
from retrieval_index.manifest import Manifest
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import fit_metric
from retrieval_index.near_duplicates import NearDuplicates
from retrieval_index.neighbours import Neighbours
from retrieval_index.rows import append_rows, check_rows
from retrieval_index.store import Store

_CHUNK = 1024
_MOST_EXPECTED = 256


class Memory:
    """N rows, each with a vector, searched by the cosine under a metric.

    Made by ``create``, ``open`` and ``add`` (in a folder) or ``in_ram``; never changed: ``add``
    gives a new one. A memory that is open keeps reading the version it opened, whatever writers
    publish.

    Attributes:
        manifest: what is known of the memory as a whole (encoder, space, metric, count, …).
        metric: the fitted metric; ``search`` applies it to queries.
        vectors: (N, D) float32, as they were given; memory-mapped where there is a folder.
        searchable: (N, D') float32, unit norm: the vectors under the metric.
        rows: Arrow table of N rows: id, label, text, source, content_hash, and what else was given.
        folder: where it lies; None for a memory that is only in RAM.
    """

    def __init__(self, contents: Contents, manifest: Manifest, folder: Path | None) -> None:
        self.manifest = manifest
        self.folder = folder
        self.metric = contents.metric
        self.vectors = contents.vectors
        self.searchable = contents.searchable
        self.rows = contents.rows

    @classmethod
    def in_ram(
        cls,
        vectors: npt.ArrayLike,
        rows: pa.Table,
        *,
        encoder: str,
        space: str = "trunk",
        metric: str | Metric = "cosine",
        encoder_name: str | None = None,
    ) -> Memory:
        """Make a memory without a folder; arguments and errors as in ``create``.

        >>> from retrieval_index import make_rows
        >>> memory = Memory.in_ram(
        ...     np.array([[1.0, 0.0], [0.0, 2.0]]), make_rows(["a", "b"]), encoder="toy")
        >>> memory.search(np.array([[0.1, 1.0]]), k=1).rows
        array([[1]])
        """
        contents = _fit(vectors, rows, metric)
        return cls(contents, _describe(contents, encoder, encoder_name, space), None)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        vectors: npt.ArrayLike,
        rows: pa.Table,
        *,
        encoder: str,
        space: str = "trunk",
        metric: str | Metric = "cosine",
        encoder_name: str | None = None,
    ) -> Memory:
        """Make a memory in a folder and open it.

        Where the folder holds a memory already, the new one is published as its next version;
        readers of the old one are not disturbed.

        Args:
            folder: a new or empty folder, or that of a memory.
            vectors: (N, D) finite floating-point numbers, N >= 0, as the encoder gave them.
            rows: N rows in the same order; see ``rows.COLUMNS``. Only ``id`` is required.
            encoder: identity of the encoder that made the vectors.
            space: which of its outputs they are, for instance ``embedding`` or ``trunk``.
            metric: ``cosine``, ``whitened`` or ``evened`` (fitted here, from vectors and labels),
                or a metric that is fitted already.
            encoder_name: what the encoder is called on the command line; for messages only.

        Raises:
            BadVectors: see ``as_vectors``.
            BadRows, DuplicateId: see ``check_rows``; or the numbers of vectors and rows differ.
            MemoryBusy: another writer does not finish.
            MemoryFault: no such metric, or the folder holds other things.
        """
        contents = _fit(vectors, rows, metric)
        manifest = _describe(contents, encoder, encoder_name, space)
        with Store(folder).writing() as draft:
            write_contents(draft, contents)
            published = draft.publish(manifest)
            return cls._load(Store(folder), published)

    @classmethod
    def open(
        cls, folder: str | Path, *, encoder: str | None = None, space: str | None = None
    ) -> Memory:
        """Open the current version of the memory in a folder.

        Lengths and formats of files are checked here, every byte in ``verify``.

        Args:
            folder: where it lies.
            encoder: identity of the encoder that queries will come from; None checks nothing.
            space: the output of it that they will come from; None checks nothing.

        Raises:
            NoMemory: the folder holds none.
            FormatMismatch: another release wrote it.
            CorruptMemory: a file is damaged or missing; the message names it.
            EncoderMismatch: it was made with another encoder or in another space.
        """
        store = Store(folder)
        manifest = store.current()
        while True:
            try:
                memory = cls._load(store, manifest)
                break
            except CorruptMemory:
                # A writer may have published twice since, and removed what we were opening.
                newer = store.current()
                if newer.version == manifest.version:
                    raise
                manifest = newer
        memory.require(encoder=encoder, space=space)
        return memory

    @classmethod
    def _load(cls, store: Store, manifest: Manifest) -> Memory:
        return cls(load_contents(store, manifest), manifest, store.folder)

    def require(self, *, encoder: str | None = None, space: str | None = None) -> None:
        """Refuse vectors of another encoder or space than the memory's; None checks nothing.

        Raises:
            EncoderMismatch: says which of the two differs and what to run.
        """
        here = self.folder or "this memory (in RAM)"
        rebuild = f"rac index build TABLE -o {self.folder or 'DIR'}"
        made = self.manifest
        if encoder is not None and encoder != made.encoder:
            named = f" ({made.encoder_name})" if made.encoder_name else ""
            use = f"use that encoder (--encoder {made.encoder_name})" if named else "use that one"
            raise EncoderMismatch(
                f"{here}: the encoder differs: the memory was made with {made.encoder}{named}, "
                f"the vectors at hand come from {encoder}. Either {use}, or build the memory "
                f"anew with the encoder at hand: {rebuild} --encoder NAME"
            )
        if space is not None and space != made.space:
            raise EncoderMismatch(
                f"{here}: the space differs: the memory holds {made.space!r} vectors, those at "
                f"hand are {space!r}. Either use {made.space!r} vectors, or build the memory "
                f"anew: {rebuild} --space {space}"
            )

    def add(self, vectors: npt.ArrayLike, rows: pa.Table) -> Memory:
        """Add rows and give the memory that holds them; this one stays as it is.

        In a folder the rows go on top of the version that is current by then, which another
        writer may have published, and become visible all at once. The metric is kept as it was
        fitted; a memory without rows fits it to the first ones it gets.

        Args:
            vectors: (M, D) from the memory's encoder and space.
            rows: M rows in the same order.

        Raises:
            BadVectors: see ``as_vectors``; or of another dimension.
            BadRows, DuplicateId: see ``append_rows``; or the numbers of vectors and rows differ.
            EncoderMismatch: the memory was meanwhile built anew with another encoder.
            MemoryBusy: another writer does not finish.
        """
        if self.folder is None:
            contents = _extend(self, vectors, rows)
            manifest = self.manifest
            return Memory(
                contents,
                _describe(contents, manifest.encoder, manifest.encoder_name, manifest.space),
                None,
            )
        store = Store(self.folder)
        with store.writing() as draft:
            latest = Memory.open(
                self.folder, encoder=self.manifest.encoder, space=self.manifest.space
            )
            contents = _extend(latest, vectors, rows)
            unchanged = latest.manifest.files["metric"] if len(latest) else None
            write_contents(draft, contents, metric=unchanged)
            made = latest.manifest
            published = draft.publish(
                _describe(contents, made.encoder, made.encoder_name, made.space)
            )
            return Memory._load(store, published)

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: Sequence[Sequence[str]] | None = None,
    ) -> Neighbours:
        """Find the k nearest rows of each query; ties by (-score, id).

        Args:
            queries: (Q, D) from the memory's encoder and space, before the metric.
            k: neighbours wanted, at least 1; it may exceed N.
            exclude: for each of the Q queries, ids that it must not find; ids that are not in
                the memory are ignored.

        Returns:
            (Q, k) neighbours, filled up with score -inf and row -1.

        Raises:
            BadVectors: see ``as_vectors``; or of another dimension.
            MemoryFault: k < 1, or ``exclude`` is not of length Q.
        """
        mapped = self.metric.apply(as_vectors(queries, what="queries", dim=self.dim))
        if exclude is None:
            return flat_search(self.searchable, mapped, k, order=self._id_order, chunk=_CHUNK)
        if len(exclude) != len(mapped):
            raise MemoryFault(f"{len(mapped)} queries but {len(exclude)} lists of excluded ids")
        banned = [
            np.array([self._row_of_id[i] for i in ids if i in self._row_of_id], dtype=np.int64)
            for ids in exclude
        ]

        def excluded(queries: IntArray, rows: IntArray) -> BoolArray:
            hit = [np.isin(line, banned[q]) for q, line in zip(queries, rows, strict=True)]
            return np.array(hit, dtype=np.bool_).reshape(rows.shape)

        return flat_search(
            self.searchable,
            mapped,
            k,
            order=self._id_order,
            excluded=excluded,
            expect_excluded=min(_MOST_EXPECTED, max(map(len, banned), default=0)),
            chunk=_CHUNK,
        )

    def leave_one_out(self, k: int, *, near_duplicate: float | None = None) -> Neighbours:
        """Let every row search among the others.

        Args:
            k: neighbours wanted, at least 1; it may exceed N.
            near_duplicate: rows whose raw cosine with the query (before the metric) is at least
                this are not found either; in [-1, 1], None excludes the row itself only.

        Returns:
            (N, k) neighbours, filled up with score -inf and row -1.

        Raises:
            MemoryFault: k < 1.
        """
        if near_duplicate is None:

            def excluded(queries: IntArray, rows: IntArray) -> BoolArray:
                own: BoolArray = rows == queries[:, np.newaxis]
                return own
        else:
            excluded = NearDuplicates(self.vectors, near_duplicate).of
        return flat_search(
            self.searchable,
            self.searchable,
            k,
            order=self._id_order,
            excluded=excluded,
            expect_excluded=1,
            chunk=_CHUNK,
        )

    def verify(self) -> None:
        """Check every byte on disk, and that the contents agree.

        A memory in a folder has the folder's current version checked, and the one kept before.

        Raises:
            CorruptMemory: something is damaged; the message names every damaged file.
        """
        from retrieval_index.verify import content_faults, verify_folder

        if self.folder is not None:
            verify_folder(self.folder)
        elif faults := content_faults(self):
            raise CorruptMemory("\n".join(faults))

    def __len__(self) -> int:
        """Give N, the number of rows."""
        return self.manifest.count

    def __repr__(self) -> str:
        return (
            f"<Memory of {len(self)} rows, {self.manifest.space} of dimension {self.dim}, "
            f"{self.metric.name}, in {self.folder or 'RAM'}>"
        )

    @property
    def dim(self) -> int:
        """Give D, the dimension of vectors and queries."""
        return self.manifest.dim

    @cached_property
    def ids(self) -> list[str]:
        """Give the N ids, in row order."""
        ids: list[str] = self.rows.column("id").to_pylist()
        return ids

    @cached_property
    def labels(self) -> list[str | None]:
        """Give the N labels, None where unknown."""
        return self._column("label")

    @cached_property
    def texts(self) -> list[str | None]:
        """Give the N texts, None where there is none."""
        return self._column("text")

    @cached_property
    def sources(self) -> list[str | None]:
        """Give the N image references, None where there is none."""
        return self._column("source")

    def _column(self, name: str) -> list[str | None]:
        values: list[str | None] = self.rows.column(name).to_pylist()
        return values

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {i: row for row, i in enumerate(self.ids)}

    @cached_property
    def _id_order(self) -> IntArray:
        """Give the (N,) place of each row among the ids sorted by code point."""
        order = np.empty(len(self), dtype=np.int64)
        order[pc.sort_indices(self.rows.column("id")).to_numpy()] = np.arange(len(self))
        return order


def _fit(vectors: npt.ArrayLike, rows: pa.Table, metric: str | Metric) -> Contents:
    checked = as_vectors(vectors)
    table = check_rows(rows)
    _same_number(checked, table)
    fitted = fit_metric(metric, checked, table.column("label").to_pylist())
    return Contents(checked, fitted.apply(checked), table, fitted)


def _extend(memory: Memory, vectors: npt.ArrayLike, rows: pa.Table) -> Contents:
    added = as_vectors(vectors, dim=memory.dim)
    table = check_rows(rows)
    _same_number(added, table)
    metric = memory.metric
    if not len(memory):
        metric = type(metric).fit(added, table.column("label").to_pylist())
    return Contents(
        vectors=np.concatenate([memory.vectors, added]),
        searchable=np.concatenate([memory.searchable, metric.apply(added)]),
        rows=append_rows(memory.rows, table),
        metric=metric,
    )


def _same_number(vectors: FloatArray, rows: pa.Table) -> None:
    if len(vectors) != len(rows):
        raise BadRows(f"{len(vectors)} vectors but {len(rows)} rows")


def _describe(contents: Contents, encoder: str, encoder_name: str | None, space: str) -> Manifest:
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=encoder,
        encoder_name=encoder_name,
        space=space,
        dim=contents.vectors.shape[1],
        metric=contents.metric.name,
        searchable_dim=contents.searchable.shape[1],
        count=len(contents.rows),
    )
