"""The file of an approximate index, walked through before FAISS is let near it.

FAISS believes what a file says: it reserves what is announced, and follows the numbers that it
finds to places in memory. Here the three kinds that ``planning`` asks for are read in the same
order as FAISS reads them, and every count, row number and link is compared with how much there is.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval_index.files import open_regular

Array = npt.NDArray[Any]

_INNER_PRODUCT: Final = 0
_EIGHT_BIT: Final = 0
_NO_DIRECT_MAP: Final = 0
_PQ_BITS: Final = 4
_MOST_LEVELS: Final = 64
_MOST_BEAM: Final = 1 << 16
_TYPES: Final = {"hnsw": (b"IHNs",), "ivf": (b"IwSq",), "ivfpq": (b"IwPf", b"IxPT")}


class BadIndexFile(ValueError):
    """A file is no index of the kind that is expected, or is not sound; the message says where."""


def check_index_file(path: Path, *, kind: str, rows: int, dim: int) -> None:
    """Check that a file holds a sound index of one kind over rows 0, …, N - 1.

    Args:
        path: what ``Approximate.save`` wrote.
        kind: ``hnsw``, ``ivf`` or ``ivfpq``; see ``manifest.IndexRecipe``.
        rows: N that it has to index.
        dim: D' of their vectors.

    Raises:
        BadIndexFile: it does not.
    """
    try:
        with open_regular(path) as handle:
            if not handle.read(1):
                raise BadIndexFile("is empty")
            data = np.memmap(handle, dtype=np.uint8, mode="r")
    except OSError as fault:
        raise BadIndexFile(f"cannot be read ({fault.strerror or fault})") from fault
    walk = _Walk(data)
    found = walk.type()
    if found not in _TYPES[kind]:
        named = found.decode("latin-1")
        raise BadIndexFile(f"holds an index of type {named!r}, not one that is {kind}")
    {b"IHNs": _graph, b"IwSq": _lists, b"IwPf": _codes, b"IxPT": _padded}[found](walk, rows, dim)
    walk.end()


class _Walk:
    """What lies in a file, taken piece by piece and never past its end."""

    def __init__(self, data: Array) -> None:
        self._data = data
        self._at = 0

    def type(self) -> bytes:
        """Take the four letters that name a type."""
        return self.array(np.dtype("u1"), 4).tobytes()

    def take(self, layout: str) -> tuple[Any, ...]:
        """Take numbers in ``struct``'s letters."""
        wide = struct.calcsize("<" + layout)
        return struct.unpack("<" + layout, self.array(np.dtype("u1"), wide).tobytes())

    def array(self, dtype: np.dtype[Any], count: int) -> Array:
        """Take so many numbers."""
        wide = count * dtype.itemsize
        if count < 0 or wide > len(self._data) - self._at:
            raise BadIndexFile(f"announces {count} numbers at byte {self._at}, and ends before")
        found: Array = np.frombuffer(self._data, dtype=dtype, count=count, offset=self._at)
        self._at += wide
        return found

    def vector(self, letters: str, *, count: int | None = None) -> Array:
        """Take numbers after their count, which has to be ``count`` unless that is None."""
        (announced,) = self.take("Q")
        if count is not None and announced != count:
            raise self.fault(f"{announced} numbers where {count} belong")
        return self.array(np.dtype(letters), announced)

    def floats(self, count: int) -> None:
        """Take so many finite float32, after their count."""
        if not np.isfinite(self.vector("<f4", count=count)).all():
            raise self.fault("a number that is not finite")

    def header(self, rows: int, dim: int) -> None:
        """Take what every index begins with, after its type."""
        found_dim, found_rows, _, _, trained, metric = self.take("iqqq?i")
        if (found_rows, found_dim) != (rows, dim):
            raise BadIndexFile(
                f"indexes {found_rows} rows of dimension {found_dim}, "
                f"the manifest says {rows} of {dim}"
            )
        if not trained or metric != _INNER_PRODUCT:
            raise self.fault("an index that is not trained for inner products")

    def expect(self, what: str, *, of: bool) -> None:
        """Refuse the file unless something holds."""
        if not of:
            raise self.fault(what)

    def fault(self, what: str) -> BadIndexFile:
        return BadIndexFile(f"holds {what}, before byte {self._at}")

    def end(self) -> None:
        """Refuse what is too much."""
        if self._at != len(self._data):
            raise BadIndexFile(f"goes on after its end at byte {self._at}")


def _graph(walk: _Walk, rows: int, dim: int) -> None:
    """Walk through ``HNSW…,SQ8``: a graph, then one byte a dimension."""
    walk.header(rows, dim)
    shares = walk.vector("<f8")
    starts = walk.vector("<i4", count=len(shares) + 1).astype(np.int64)
    walk.expect(
        "levels that no graph has",
        of=1 <= len(shares) <= _MOST_LEVELS
        and bool(np.isfinite(shares).all())
        and starts[0] == 0
        and bool((np.diff(starts) > 0).all()),
    )
    levels = walk.vector("<i4", count=rows)
    places = walk.vector("<u8", count=rows + 1)
    links = walk.vector("<i4")
    entry, top, beam, _, _ = walk.take("iiiii")
    walk.expect(
        "a row on a level that there is not",
        of=bool(((levels >= 1) & (levels < len(starts))).all()),
    )
    walk.expect(
        "links that are not where the levels say",
        of=places[0] == 0
        and places[-1] == len(links)
        and bool((np.diff(places) == starts[levels].astype(np.uint64)).all()),
    )
    walk.expect("a link to no row", of=bool(((links >= -1) & (links < rows)).all()))
    walk.expect(
        "an entry that is not a row of the top level",
        of=0 <= entry < rows and top >= 0 and levels[entry] == top + 1 == levels.max(),
    )
    walk.expect("a beam that no search has", of=1 <= beam <= _MOST_BEAM)
    # On an upper level a search goes on from the row that a link leads to: it has to be there.
    for level in range(1, top + 1):
        there = places[:-1][levels > level].astype(np.int64)
        linked = links[there[:, np.newaxis] + np.arange(starts[level], starts[level + 1])]
        walk.expect(
            f"a link on level {level} to a row that is not there",
            of=bool(((linked < 0) | (levels[linked] > level)).all()),
        )
    walk.expect("a graph over another kind of codes", of=walk.type() == b"IxSQ")
    walk.header(rows, dim)
    _bytes_a_dimension(walk, dim)
    walk.vector("u1", count=rows * dim)


def _bytes_a_dimension(walk: _Walk, dim: int) -> None:
    """Walk through what turns a dimension into a byte."""
    kind, _, _, found_dim, code = walk.take("iifQQ")
    walk.expect(
        "codes that are not of one byte a dimension",
        of=(kind, found_dim, code) == (_EIGHT_BIT, dim, dim),
    )
    walk.floats(2 * dim)


def _around_centroids(walk: _Walk, rows: int, dim: int) -> int:
    """Walk through what every index of lists begins with; give the number of lists."""
    walk.header(rows, dim)
    lists, _ = walk.take("QQ")
    walk.expect("lists around another kind of centroids", of=walk.type() == b"IxFI")
    walk.expect("no list, or more than its rows", of=1 <= lists <= max(rows, 1))
    walk.header(lists, dim)
    walk.floats(lists * dim)
    (direct,) = walk.take("B")
    walk.expect("a map of rows to lists", of=direct == _NO_DIRECT_MAP)
    walk.vector("<i8", count=0)
    return int(lists)


def _lists(walk: _Walk, rows: int, dim: int) -> None:
    """Walk through ``IVF…,SQ8``."""
    lists = _around_centroids(walk, rows, dim)
    _bytes_a_dimension(walk, dim)
    code, residual = walk.take("QB")
    walk.expect("codes of another length", of=code == dim and residual in (0, 1))
    walk.expect("another kind of lists", of=walk.type() == b"ilar")
    walk.expect("lists of another shape", of=walk.take("QQ") == (lists, dim))
    form = walk.type()
    if form == b"full":
        sizes = walk.vector("<u8", count=lists)
    else:
        walk.expect("list sizes in no known form", of=form == b"sprs")
        pairs = walk.vector("<u8")
        walk.expect("list sizes that are not pairs", of=len(pairs) % 2 == 0)
        numbers, given = pairs[::2], pairs[1::2]
        walk.expect(
            "sizes of lists that there are not",
            of=bool((numbers < lists).all()) and len(np.unique(numbers)) == len(numbers),
        )
        sizes = np.zeros(lists, dtype=np.uint64)
        sizes[numbers.astype(np.int64)] = given
    seen = np.zeros(rows, dtype=np.bool_)
    for size in sizes.tolist():
        walk.array(np.dtype("u1"), size * dim)
        _note(walk, seen, walk.array(np.dtype("<i8"), size))
    walk.expect("lists that lack rows", of=bool(seen.all()))


def _codes(walk: _Walk, rows: int, dim: int) -> None:
    """Walk through ``IVF…,PQ…x4fs``: half a byte for several dimensions, in blocks of rows."""
    lists = _around_centroids(walk, rows, dim)
    residual, code, block, wide, way, other_way = walk.take("BQiQiQ")
    found_dim, parts, bits = walk.take("QQQ")
    walk.expect(
        "codes that are not of half a byte",
        of=(found_dim, bits) == (dim, _PQ_BITS)
        and 1 <= parts <= dim
        and dim % parts == 0
        and code == (parts + 1) // 2
        and wide == 2 * code,
    )
    walk.expect(
        "rows packed in another way",
        of=(residual, way, other_way) == (0, 0, 0) and block == 32,
    )
    walk.floats(dim << _PQ_BITS)
    walk.expect("another kind of lists", of=walk.type() == b"ilbl")
    found_lists, _, found_block, block_bytes = walk.take("QQQQ")
    walk.expect(
        "lists of another shape",
        of=(found_lists, found_block, block_bytes) == (lists, block, block * code),
    )
    seen = np.zeros(rows, dtype=np.bool_)
    for _ in range(lists):
        numbers = walk.vector("<i8")
        _note(walk, seen, numbers)
        walk.vector("u1", count=-(-len(numbers) // block) * block_bytes)
    walk.expect("lists that lack rows", of=bool(seen.all()))


def _padded(walk: _Walk, rows: int, dim: int) -> None:
    """Walk through ``Pad…,IVF…,PQ…x4fs``: zeros behind the dimensions, then the above."""
    walk.header(rows, dim)
    (steps,) = walk.take("i")
    walk.expect("other steps before the codes", of=steps == 1 and walk.type() == b"RmDT")
    moved = walk.vector("<i4")
    before, after, trained = walk.take("ii?")
    expected = np.full(len(moved), -1)
    expected[:dim] = np.arange(min(dim, len(moved)))
    walk.expect(
        "dimensions that are moved elsewhere",
        of=trained
        and (before, after) == (dim, len(moved))
        and dim <= len(moved) < 2 * dim + 64
        and bool((moved == expected).all()),
    )
    walk.expect("another kind of codes", of=walk.type() == b"IwPf")
    _codes(walk, rows, len(moved))


def _note(walk: _Walk, seen: npt.NDArray[np.bool_], numbers: Array) -> None:
    """Mark the rows of a list; each row is in one list, once."""
    fine = bool(((numbers >= 0) & (numbers < len(seen))).all())
    walk.expect("a row that there is not", of=fine and len(np.unique(numbers)) == len(numbers))
    walk.expect("a row in two lists", of=not seen[numbers].any())
    seen[numbers] = True
