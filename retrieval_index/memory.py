"""The memory: embedded items that can be looked up by nearness, in a folder or in RAM."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy.typing as npt
import pyarrow as pa

from retrieval_index.building import Batch, build_contents, checked, live_batches
from retrieval_index.contents import Contents, load_contents, write_contents
from retrieval_index.duplicates import repeated_ids
from retrieval_index.edits import with_rows, without_ids
from retrieval_index.errors import CorruptMemory, EncoderMismatch, MemoryBusy, MemoryFault
from retrieval_index.manifest import IndexPlan, Manifest
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import fit_metric
from retrieval_index.origin import Origin, describe
from retrieval_index.rows import check_rows
from retrieval_index.segment import Segment
from retrieval_index.soundness import check_files
from retrieval_index.store import Draft, Store
from retrieval_index.verify import content_faults, verify_folder
from retrieval_index.view import View


class Memory(View):
    """N rows, each with a vector, kept in a folder or in RAM, edited by id.

    Made by ``create``, ``build`` and ``open`` (in a folder) or ``in_ram``; never changed: an edit
    gives a new one. A memory that is open keeps reading the version it opened, whatever writers
    publish.

    In a folder an edit goes on top of the version that is current by then, which another writer
    may have published, and becomes visible all at once.

    Attributes:
        manifest: what is known of the memory as a whole (encoder, space, metric, count, …).
        metric: the fitted metric; ``search`` applies it to queries.
        folder: where it lies; None for a memory that is only in RAM.
    """

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
        images_from: str | None = None,
        texts: npt.ArrayLike | None = None,
    ) -> Memory:
        """Make a memory without a folder, searched exactly; arguments and errors as in ``build``.

        >>> import numpy as np
        >>> from retrieval_index import make_rows
        >>> memory = Memory.in_ram(
        ...     np.array([[1.0, 0.0], [0.0, 2.0]]), make_rows(["a", "b"]), encoder="toy")
        >>> memory.search(np.array([[0.1, 1.0]]), k=1).rows
        array([[1]])
        """
        array, table, told = checked(Batch(vectors, rows, texts), free_text=True)
        fitted = fit_metric(metric, array, table.column("label").to_pylist())
        contents = Contents((Segment(array, fitted.apply(array), table, told),), fitted)
        origin = Origin(encoder, encoder_name, space, images_from)
        return cls(contents, describe(contents, origin), None)

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
        texts: npt.ArrayLike | None = None,
    ) -> Memory:
        """Make a memory in a folder from arrays, and open it; see ``build``.

        Args:
            folder: a new or empty folder, or that of a memory.
            vectors: (N, D) finite floating-point numbers, N >= 0, as the encoder gave them.
            rows: N rows in the same order; see ``rows.COLUMNS``. Only ``id`` is required.
            encoder: identity of the encoder that made the vectors.
            space: which of its outputs they are, for instance ``embedding`` or ``trunk``.
            metric: ``cosine``, ``whitened`` or ``evened`` (fitted here, from vectors and labels),
                or a metric that is fitted already.
            encoder_name: what the encoder is called on the command line; for messages only.
            texts: (N, E) vectors of the rows' texts; None for none.
        """
        return cls.build(
            folder,
            [Batch(vectors, rows, texts)],
            encoder=encoder,
            space=space,
            metric=metric,
            encoder_name=encoder_name,
        )

    @classmethod
    def build(
        cls,
        folder: str | Path,
        batches: Iterable[Batch],
        *,
        encoder: str,
        space: str = "trunk",
        metric: str | Metric = "cosine",
        encoder_name: str | None = None,
        images_from: str | None = None,
        plan: IndexPlan | None = None,
        force: bool = False,
        dedup: float | None = None,
    ) -> Memory:
        """Make a memory in a folder from a stream of rows, and open it.

        What is in RAM does not grow with the number of rows. Where the folder holds a memory
        already, the new one is published as its next version; readers of the old one are not
        disturbed.

        Args:
            folder: a new or empty folder, or that of a memory.
            batches: rows with their vectors; the first one sets dimensions and columns.
            encoder: see ``create``.
            space: see ``create``.
            metric: see ``create``. With very many rows it is fitted to 65,536 of them.
            encoder_name: see ``create``.
            images_from: the folder that relative image references start from.
            plan: what is asked of the index.
            force: publish an index that misses the plan's recall or latency.
            dedup: cosine in [-1, 1] from which on a row that repeats an earlier one is left out;
                None keeps all.

        Raises:
            BadVectors: see ``as_vectors``.
            BadRows, DuplicateId: see ``check_rows``; or the numbers of vectors and rows differ.
            TargetMissed: the index misses the plan, and ``force`` is not set.
            MemoryBusy: another writer does not finish.
            MemoryFault: no such metric, no batch, or the folder holds other things.
        """
        origin = Origin(encoder, encoder_name, space, images_from, plan or IndexPlan())
        with Store(folder).writing() as draft:
            contents = build_contents(draft, batches, metric, origin.plan, force=force)
            if dedup is not None:
                draught = View(contents, describe(contents, origin), None)
                gone = repeated_ids(draught, dedup)
                contents = without_ids(contents, gone, missing_is_fine=False)
            return cls._published(Store(folder), draft, contents, origin)

    @classmethod
    def open(
        cls, folder: str | Path, *, encoder: str | None = None, space: str | None = None
    ) -> Memory:
        """Open the current version of the memory in a folder.

        Nothing is taken from a file whose bytes do not match the manifest; ``soundness`` says
        which files are known to and are not hashed again. ``verify`` hashes every byte.

        Args:
            folder: where it lies.
            encoder: identity of the encoder that queries will come from; None checks nothing.
            space: the output of it that they will come from; None checks nothing.

        Raises:
            NoMemory: the folder holds none.
            FormatMismatch: another release wrote it.
            CorruptMemory: a file is damaged or missing; the message names it, and says whether an
                earlier version is kept.
            EncoderMismatch: it was made with another encoder or in another space.
        """
        store = Store(folder)
        manifest = store.current()
        while True:
            try:
                memory = cls(load_contents(store, manifest), manifest, store.folder)
                break
            except CorruptMemory as damaged:
                # A writer may have published twice since, and removed what we were opening.
                newer = store.current()
                if newer.version == manifest.version:
                    raise store.damaged([str(damaged)], manifest) from damaged
                manifest = newer
        memory.require(encoder=encoder, space=space)
        return memory

    @classmethod
    def _published(cls, store: Store, draft: Draft, contents: Contents, origin: Origin) -> Memory:
        written = write_contents(draft, contents)
        manifest = draft.publish(describe(written, origin))
        return cls(load_contents(store, manifest, known=written), manifest, store.folder)

    def require(self, *, encoder: str | None = None, space: str | None = None) -> None:
        """Refuse vectors of another encoder or space than the memory's; None checks nothing.

        Raises:
            EncoderMismatch: says which of the two differs and what to run.
        """
        here = self.folder or "this memory (in RAM)"
        made = self.manifest
        if encoder is not None and encoder != made.encoder:
            named = f" ({made.encoder_name})" if made.encoder_name else ""
            use = f"use that encoder (--encoder {made.encoder_name})" if named else "use that one"
            move = f"rac index migrate {self.folder or 'DIR'} --encoder NAME"
            raise EncoderMismatch(
                f"{here}: the encoder differs: the memory was made with {made.encoder}{named}, "
                f"the vectors at hand come from {encoder}. Either {use}, or embed the memory's "
                f"images again with the encoder at hand: {move}"
            )
        if space is not None and space != made.space:
            rebuild = f"rac index build TABLE -o {self.folder or 'DIR'}"
            raise EncoderMismatch(
                f"{here}: the space differs: the memory holds {made.space!r} vectors, those at "
                f"hand are {space!r}. Either use {made.space!r} vectors, or build the memory "
                f"anew: {rebuild} --space {space}"
            )

    def add(
        self, vectors: npt.ArrayLike, rows: pa.Table, *, texts: npt.ArrayLike | None = None
    ) -> Memory:
        """Add rows and give the memory that holds them; this one stays as it is.

        The metric is kept as it was fitted; a memory without rows fits it to the first ones it
        gets. An approximate index is not built anew: few new rows are searched exactly beside it,
        many are put into it, and its recall is then measured again.

        Args:
            vectors: (M, D) from the memory's encoder and space.
            rows: M rows in the same order.
            texts: (M, E) vectors of the rows' texts, where the memory keeps such.

        Raises:
            BadVectors: see ``as_vectors``; or of another dimension.
            BadRows, DuplicateId: see ``check_rows``; an id is in the memory already; or the
                numbers of vectors and rows differ.
            EncoderMismatch: the memory was meanwhile built anew with another encoder.
            MemoryBusy: another writer does not finish.
        """
        return self._edited(lambda contents: with_rows(contents, Batch(vectors, rows, texts)))

    def upsert(
        self, vectors: npt.ArrayLike, rows: pa.Table, *, texts: npt.ArrayLike | None = None
    ) -> Memory:
        """Add rows, in the place of those that have their ids; arguments and errors as in ``add``.

        A replaced row moves to the end.
        """
        batch = Batch(vectors, rows, texts)

        def change(contents: Contents) -> Contents:
            ids = check_rows(rows).column("id").to_pylist()
            return with_rows(without_ids(contents, ids, missing_is_fine=True), batch)

        return self._edited(change)

    def delete(self, ids: Collection[str]) -> Memory:
        """Delete rows by id and give the memory without them.

        Raises:
            UnknownId: an id is not in the memory; then nothing is deleted.
            EncoderMismatch: the memory was meanwhile built anew with another encoder.
            MemoryBusy: another writer does not finish.
        """
        return self._edited(lambda contents: without_ids(contents, ids, missing_is_fine=False))

    def preview(self, *, add: Batch | None = None, delete: Collection[str] = ()) -> Memory:
        """Give the memory as an edit would leave it, in RAM; nothing is published.

        Args:
            add: rows that would be upserted.
            delete: ids that would be deleted before.

        Raises:
            UnknownId, BadVectors, BadRows: as ``delete`` and ``upsert``.
        """
        draught = Memory(self._contents, self.manifest, None)
        if delete:
            draught = draught.delete(delete)
        if add is not None:
            draught = draught.upsert(add.vectors, add.rows, texts=add.texts)
        return draught

    def compact(
        self, *, metric: str | None = None, plan: IndexPlan | None = None, force: bool = False
    ) -> Memory:
        """Write the memory anew without its deleted rows, and build its index anew.

        The vectors are taken as they are stored; nothing is embedded again.

        Args:
            metric: a metric to fit to the rows as they are now; None keeps the one that is fitted.
            plan: what is asked of the index; None asks what was asked before.
            force: publish an index that misses the plan's recall or latency.

        Raises:
            TargetMissed: the index misses the plan, and ``force`` is not set.
            MemoryFault: no such metric; or the memory is only in RAM.
            MemoryBusy: another writer does not finish.
        """
        store = self._store()
        with store.writing() as draft:
            latest = self._latest()
            origin = latest._origin(plan)
            contents = build_contents(
                draft,
                live_batches(latest._contents),
                metric or latest.metric,
                origin.plan,
                force=force,
            )
            return Memory._published(store, draft, contents, origin)

    def rollback(self) -> Memory:
        """Publish the version before the current one again, as the newest; give it opened.

        Doing it twice gives back what was there.

        Raises:
            MemoryFault: no earlier version is kept, or the memory is only in RAM.
            CorruptMemory: the earlier version is damaged.
        """
        return Memory.gone_back(self._store().folder)[0]

    @classmethod
    def gone_back(cls, folder: str | Path) -> tuple[Memory, int]:
        """Go back in a folder whose current version may be too damaged to be opened.

        Where the current manifest can be read, the version before it is published again, as in
        ``rollback``; else the newest version in the folder that is sound, which may be the current
        one itself.

        Returns:
            The memory as it is now, and the number of the version that it is like.

        Raises:
            NoMemory: the folder holds none.
            MemoryFault: no earlier version is kept.
            CorruptMemory: no version to go back to is sound; every damaged file is named.
        """
        store = Store(folder)
        if not store.kept():
            store.current()  # says that there is no memory, or that nothing of it can be read
            raise MemoryFault(f"{store.folder}: no earlier version is kept to go back to")
        with store.writing() as draft:
            faults: list[str] = []
            for before in _to_go_back_to(store, draft.base):
                checked = check_files(store.folder, before.all_files(), everything=True)
                try:
                    load_contents(store, before, checked=checked)
                except CorruptMemory as damaged:
                    faults.append(str(damaged))
                    continue
                previous = before.previous if draft.base is None else None
                manifest = draft.publish(before, previous=previous)
                return cls(load_contents(store, manifest), manifest, store.folder), before.version
            raise CorruptMemory("\n".join(faults))

    def replaced_by(self, other: Memory) -> Memory:
        """Publish the rows of another memory as this folder's next version; give it opened.

        The index is built anew and published even where it misses what was asked of it, which
        was judged when ``other`` was built.

        Raises:
            MemoryBusy: this memory is not the folder's current version any more.
            MemoryFault: the memory is only in RAM.
        """
        store = self._store()
        with store.writing() as draft:
            if store.current() != self.manifest:
                raise MemoryBusy(f"{store.folder}: was edited meanwhile; run the command again")
            origin = other._origin()
            contents = build_contents(
                draft, live_batches(other._contents), other.metric, origin.plan, force=True
            )
            return Memory._published(store, draft, contents, origin)

    def _edited(self, change: Callable[[Contents], Contents]) -> Memory:
        if self.folder is None:
            contents = change(self._contents)
            return Memory(contents, describe(contents, self._origin()), None)
        store = Store(self.folder)
        with store.writing() as draft:
            latest = self._latest()
            contents = change(latest._contents)
            return Memory._published(store, draft, contents, latest._origin())

    def _latest(self) -> Memory:
        """Give the current version of the folder, which is this one unless others wrote."""
        store = self._store()
        if store.current() == self.manifest:
            return self
        made = self.manifest
        return Memory.open(store.folder, encoder=made.encoder, space=made.space)

    def _store(self) -> Store:
        if self.folder is None:
            raise MemoryFault("the memory is only in RAM; this needs one in a folder")
        return Store(self.folder)

    def _origin(self, plan: IndexPlan | None = None) -> Origin:
        made = self.manifest
        return Origin(
            made.encoder, made.encoder_name, made.space, made.images_from, plan or made.plan
        )

    def verify(self) -> None:
        """Check every byte on disk, and that the contents agree.

        A memory in a folder has the folder's current version checked, and the one kept before.

        Raises:
            CorruptMemory: something is damaged; the message names every damaged file.
        """
        if self.folder is not None:
            verify_folder(self.folder)
        elif faults := content_faults(self):
            raise CorruptMemory("\n".join(faults))

    def __repr__(self) -> str:
        """Say what it is."""
        made = self.manifest
        where = f"in {self.folder}" if self.folder else "in RAM"
        return (
            f"<Memory of {len(self)} rows, {made.space} of dimension {self.dim}, "
            f"{self.metric.name}, {where}>"
        )


def _to_go_back_to(store: Store, base: Manifest | None) -> list[Manifest]:
    """Give the versions that may be gone back to, the one that is wanted first."""
    if base is None:
        return store.kept()
    if base.previous is None:
        raise MemoryFault(f"{store.folder}: no earlier version is kept to go back to")
    return [store.numbered(base.previous)]
