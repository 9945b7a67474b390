"""An approximate index: FAISS proposes rows, which are then scored exactly by the caller."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from retrieval_index.arrays import BoolArray, FloatArray, IntArray
from retrieval_index.errors import CorruptMemory
from retrieval_index.index_file import BadIndexFile, check_index_file
from retrieval_index.manifest import FileEntry, IndexRecipe
from retrieval_index.neighbours import NO_ROW
from retrieval_index.stack import Stack

TEN = 10
"""The number of neighbours that efforts and recalls are stated for."""

_ADD_ROWS = 65_536
_WORTH_THREADS = 8


class Approximate:
    """An index over the first rows of a memory.

    Attributes:
        index: FAISS's index; its ids are row numbers.
        recipe: what it is, and with how much effort it is searched.
        entry: the file that holds it; None for one that is only in RAM.
    """

    def __init__(self, index: Any, recipe: IndexRecipe, entry: FileEntry | None = None) -> None:
        self.index = index
        self.recipe = recipe
        self.entry = entry

    def propose(
        self, queries: FloatArray, wanted: int, allowed: BoolArray | None = None
    ) -> IntArray:
        """Find rows that are likely to be near.

        Args:
            queries: (B, D') under the metric.
            wanted: neighbours that the caller wants in the end.
            allowed: (N,) truth values, which rows may be proposed; None allows all.

        Returns:
            (B, C) row numbers, C >= ``wanted`` unless there are fewer; -1 where the index found
            no more.
        """
        import faiss

        count = self.proposals(wanted)
        selector = None
        bits = None
        if allowed is not None:
            bits = np.packbits(allowed[: self.recipe.indexed], bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters = self._parameters(count, wanted, selector)
        _, rows = self.index.search(queries, count, params=parameters)
        # FAISS keeps a bare pointer to the bits, so they have to live until here.
        del selector, bits
        found: IntArray = rows
        return found

    def proposals(self, wanted: int) -> int:
        """Give how many rows are proposed for so many neighbours."""
        scaled = self.recipe.candidates * max(wanted, TEN) // TEN
        return max(1, min(scaled, self.recipe.indexed))

    def _parameters(self, count: int, wanted: int, selector: Any) -> Any:
        faiss = _untyped_faiss()

        recipe = self.recipe
        chosen = {} if selector is None else {"sel": selector}
        if recipe.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(recipe.effort, count), **chosen)
        # The effort is tuned for ten neighbours; more of them lie in more lists.
        visited = math.ceil(recipe.effort * math.sqrt(max(wanted, TEN) / TEN))
        lists = faiss.SearchParametersIVF(nprobe=visited, **chosen)
        if isinstance(faiss.downcast_index(self.index), faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=lists)
        return lists

    def extended(self, searchable: Stack) -> Approximate:
        """Give an index of all rows of a stack, whose first rows this one holds; not trained anew.

        Args:
            searchable: (N, D') under the metric.
        """
        import faiss

        # A clone of a mapped index would still be a view of the file, and could not grow.
        copy = faiss.deserialize_index(faiss.serialize_index(self.index))
        add_rows(copy, searchable, first=self.recipe.indexed)
        recipe = self.recipe.model_copy(update={"indexed": len(searchable)})
        return Approximate(copy, recipe)

    def save(self, path: Path) -> None:
        """Write FAISS's index to a file.

        Raises:
            OSError: the disk is full, or may not be written to.
            RuntimeError: FAISS writes what ``check_index_file`` does not know.
        """
        save_index(self.index, path)
        recipe = self.recipe
        try:
            check_index_file(path, kind=recipe.kind, rows=recipe.indexed, dim=self.index.d)
        except BadIndexFile as fault:
            raise RuntimeError(
                f"this release of FAISS writes a {recipe.factory} index in a form that rac does "
                f"not know (it {fault})"
            ) from fault

    @classmethod
    def load(
        cls,
        path: Path,
        recipe: IndexRecipe,
        dim: int,
        entry: FileEntry | None,
        *,
        check: bool = True,
    ) -> Approximate:
        """Open what ``save`` wrote, memory-mapped where FAISS can.

        Args:
            path: where it lies.
            recipe: what it has to be.
            dim: D' of the vectors.
            entry: what the manifest says of the file.
            check: walk through it before FAISS does; False where that was done already.

        Raises:
            CorruptMemory: the file is no index, or not of the recipe's rows and of dimension
                ``dim``.
        """
        import faiss

        try:
            if check:
                check_index_file(path, kind=recipe.kind, rows=recipe.indexed, dim=dim)
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except BadIndexFile as fault:
            raise CorruptMemory(f"{path}: {fault}") from fault
        except (RuntimeError, MemoryError) as fault:
            raise CorruptMemory(f"{path}: not a readable index ({fault})") from fault
        if (index.ntotal, index.d) != (recipe.indexed, dim):
            raise CorruptMemory(
                f"{path}: indexes {index.ntotal} rows of dimension {index.d}, "
                f"the manifest says {recipe.indexed} of {dim}"
            )
        return cls(index, recipe, entry)


def save_index(index: Any, path: Path) -> None:
    """Write FAISS's index to a file through Python, which tells a full disk from a whole file.

    Raises:
        OSError: the disk is full, or may not be written to.
    """
    faiss = _untyped_faiss()

    with open(path, "wb") as handle:

        def write(block: bytes) -> None:
            handle.write(block)

        faiss.write_index(index, faiss.PyCallbackIOWriter(write))


@contextmanager
def few_threads(queries: int) -> Iterator[None]:
    """Keep FAISS to the calling thread for the few queries that are not worth waking others.

    A query takes well under a millisecond; to wait for a core that is busy with other work takes
    several. The number of threads is a setting of the calling thread alone.
    """
    import faiss

    if queries >= _WORTH_THREADS:
        yield
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _untyped_faiss() -> Any:
    """Give the module; the types that it ships with lack some of what it offers."""
    import faiss

    return faiss


def add_rows(index: Any, searchable: Stack, *, first: int = 0) -> None:
    """Add the rows from number ``first`` on to FAISS's index, block by block."""
    for _, part in searchable.after(first):
        for top in range(0, len(part), _ADD_ROWS):
            index.add(np.ascontiguousarray(part[top : top + _ADD_ROWS]))


def score_proposals(searchable: Stack, queries: FloatArray, rows: IntArray) -> FloatArray:
    """Give (B, C) float32 inner products of B queries with (B, C) rows; -inf beside a -1.

    FAISS gathers and multiplies in one pass over the mapped vectors, with all cores.
    """
    faiss = _untyped_faiss()
    best = np.full(rows.shape, -np.inf, dtype=np.float32)
    out = np.empty_like(best)
    for start, part in zip(searchable.starts, searchable.parts, strict=False):
        if not len(part):
            continue
        inside = rows
        if len(searchable.parts) > 1:
            inside = np.where((rows >= start) & (rows < start + len(part)), rows - start, NO_ROW)
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(out),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(part),
            faiss.swig_ptr(np.ascontiguousarray(inside)),
            part.shape[1],
            len(queries),
            rows.shape[1],
        )
        np.maximum(best, out, out=best)
    return best
