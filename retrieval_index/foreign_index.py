"""Raw FAISS indexes that other programs wrote, read where their vectors can be given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval_index.errors import BadVectors, MemoryFault
from retrieval_index.files import open_regular

#: What a file begins with, and what FAISS calls it. Of other kinds some end the process when they
#: are asked for a vector, as an index with ids of its own does, and lists of packed codes.
_KINDS: Final = {
    b"IxFI": "Flat",
    b"IxF2": "Flat",
    b"IxFl": "Flat",
    b"IxSQ": "SQ",
    b"IxPq": "PQ",
    b"IPfs": "PQ…fs",
    b"IwFl": "IVF,Flat",
    b"IwSq": "IVF,SQ",
    b"IwPQ": "IVF,PQ",
    b"IHNf": "HNSW,Flat",
    b"IHNs": "HNSW,SQ",
    b"IxPT": "a transform before one of these",
}
_CLASSES: Final = frozenset(
    {
        "IndexFlat",
        "IndexFlatIP",
        "IndexFlatL2",
        "IndexScalarQuantizer",
        "IndexPQ",
        "IndexPQFastScan",
        "IndexIVFFlat",
        "IndexIVFScalarQuantizer",
        "IndexIVFPQ",
        "IndexHNSWFlat",
        "IndexHNSWSQ",
    }
)
_MOST_DIM: Final = 1 << 20


def read_foreign_index(path: str | Path) -> Any:
    """Read a raw FAISS index whose vectors, numbered 0, …, N - 1, can be given back.

    Raises:
        MemoryFault: the file is no index, is damaged, or reserves more than its own length.
        BadVectors: the index is of a kind that cannot give its vectors back by number.
    """
    import faiss

    try:
        with open_regular(path) as handle:
            kind = handle.read(4)
            length = handle.seek(0, 2)
    except OSError as fault:
        raise MemoryFault(f"{path}: cannot be read ({fault.strerror or fault})") from fault
    if kind not in _KINDS:
        able = ", ".join(dict.fromkeys(_KINDS.values()))
        raise BadVectors(
            f"{path}: is no FAISS index that can give its vectors back by number (it begins with "
            f"{kind.decode('latin-1')!r}); those that can: {able}. "
            "Import the vectors from a .npy file"
        )
    try:
        with _at_most(length):
            # A table that makes searches faster is not needed, and may be larger than the file.
            index: Any = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
    except (RuntimeError, MemoryError) as fault:
        raise MemoryFault(f"{path}: not a readable FAISS index ({fault})") from fault
    if not 1 <= index.d <= _MOST_DIM or index.ntotal < 0:
        raise MemoryFault(f"{path}: holds {index.ntotal} vectors of dimension {index.d}")
    _refuse_inner(path, index)
    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        _refuse_other_numbers(path, lists)
    return index


@contextmanager
def _at_most(length: int) -> Iterator[None]:
    """Let FAISS reserve no more for a list of numbers than a file of that length could hold."""
    import faiss

    untyped: Any = faiss
    before = untyped.get_deserialization_vector_byte_limit()
    loops = untyped.get_deserialization_loop_limit()
    untyped.set_deserialization_vector_byte_limit(length + 1)
    untyped.set_deserialization_loop_limit(length + 1)
    try:
        yield
    finally:
        untyped.set_deserialization_vector_byte_limit(before)
        untyped.set_deserialization_loop_limit(loops)


def _refuse_inner(path: str | Path, index: Any) -> None:
    """Refuse an index that keeps its vectors in one of another kind."""
    import faiss

    inner = index
    while isinstance(inner, faiss.IndexPreTransform):
        inner = faiss.downcast_index(inner.index)
    if isinstance(inner, faiss.IndexHNSW) and type(inner).__name__ in _CLASSES:
        inner = faiss.downcast_index(inner.storage)
    name = type(inner).__name__
    if name not in _CLASSES:
        raise BadVectors(
            f"{path}: keeps its vectors in an index ({name}) that cannot give them back by "
            "number; import them from a .npy file"
        )


def _refuse_other_numbers(path: str | Path, lists: Any) -> None:
    """Refuse lists that do not hold each of the numbers 0, …, N - 1 once."""
    import faiss

    held = lists.invlists
    sizes = [held.list_size(number) for number in range(lists.nlist)]
    numbers = [
        faiss.rev_swig_ptr(held.get_ids(number), size).copy()
        for number, size in enumerate(sizes)
        if size
    ]
    found = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *numbers]))
    if not np.array_equal(found, np.arange(lists.ntotal)):
        raise BadVectors(
            f"{path}: gives its vectors other numbers than 0, 1, 2, …; import them from a .npy file"
        )
