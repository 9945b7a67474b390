"""Which indexes suit a number of rows and a budget, the most promising first.

Exact search reads every number of every row: some ten gigabytes a second. Where that is within
the latency that is asked for, nothing else is needed. A graph (HNSW) answers single queries fast,
but takes long to build and its links take memory, so it is for middling sizes. Lists around
centroids with half a byte for every four dimensions (IVF-PQ, searched by shuffles of registers;
André et al., Cache locality is not enough, VLDB 2015) propose rows from the least memory; scored
exactly, they reach any recall. Fewer than 128 such codes tell too little apart: of 2,000,000 rows
of dimension 256, the first 640 that 64 codes propose hold .92 of the true ten, the first 160 of
128 codes .98. Below 512 dimensions a code is therefore for two. One byte a dimension (IVF) needs
fewer exact scores, and is the next choice where the memory allows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retrieval_index.errors import MemoryFault
from retrieval_index.manifest import IndexPlan

Kind = Literal["hnsw", "ivf", "ivfpq"]

_EXACT_BYTES_PER_MS = 1e7
_HNSW_ROWS = 200_000
_HNSW_LINKS = 32
_MOST_LISTS = 8192
#: Dimensions that share a code of half a byte, the finest first; two only where four leave fewer
#: codes than ``_ENOUGH_CODES``.
_DIMENSIONS_A_CODE = (2, 4, 8, 16)
_ENOUGH_CODES = 128
_LEAST_ROWS = 64


@dataclass(frozen=True)
class Candidate:
    """An index that could be built.

    Attributes:
        kind: see ``IndexRecipe``.
        factory: FAISS's name for it.
        lists: centroids of ``ivf`` and ``ivfpq``; 0 for ``hnsw``.
        code_bytes: bytes of a row's code.
        ram_bytes: what it takes when it is loaded.
    """

    kind: Kind
    factory: str
    lists: int
    code_bytes: int
    ram_bytes: int


def exact_is_enough(rows: int, dim: int, plan: IndexPlan) -> bool:
    """Say whether the exact search meets the plan: always with ``flat``, never with a kind.

    There is no index over no rows, nor codes for a handful, whatever the plan says.
    """
    if plan.kind == "ivfpq":
        return rows < _LEAST_ROWS
    if plan.kind != "auto":
        return plan.kind == "flat" or rows == 0
    size = 4 * rows * dim
    fits = plan.max_memory is None or size <= plan.max_memory
    return rows < _LEAST_ROWS or (fits and size <= plan.latency_ms * _EXACT_BYTES_PER_MS)


def candidates(rows: int, dim: int, plan: IndexPlan) -> list[Candidate]:
    """Give the indexes that fit the plan's memory, the most promising first.

    Args:
        rows: N, at least 1.
        dim: D' of the vectors under the metric.
        plan: what is asked for.

    Raises:
        MemoryFault: the memory is too small for any.

    >>> [c.kind for c in candidates(1_000_000, 512, IndexPlan())]
    ['ivfpq', 'ivf']
    >>> [c.factory for c in candidates(1_000_000, 512, IndexPlan(max_memory=60_000_000))]
    ['IVF4096,PQ64x4fs']
    """
    graph = _graph(rows, dim)
    few = dim < 4 * _ENOUGH_CODES - 3
    coded = [_coded(rows, dim, each) for each in _DIMENSIONS_A_CODE if few or each > 2]
    lists = _lists(rows, dim)
    if plan.kind == "auto":
        every = [graph] if rows <= _HNSW_ROWS else []
        every += [coded[0], lists, *coded[1:]]
    else:
        every = {"hnsw": [graph], "ivf": [lists]}.get(plan.kind, coded)
    budget = plan.max_memory
    fitting = [one for one in every if budget is None or one.ram_bytes <= budget]
    if not fitting:
        least = min(one.ram_bytes for one in every)
        raise MemoryFault(
            f"an index of {rows:,} rows of dimension {dim} takes at least {least / 1e6:,.0f} MB, "
            f"--max-memory allows {(budget or 0) / 1e6:,.0f} MB"
        )
    # A coarser code is for where a finer one does not fit.
    fine = next((one for one in fitting if one.kind == "ivfpq"), None)
    return [one for one in fitting if one.kind != "ivfpq" or one is fine]


def list_count(rows: int) -> int:
    """Give the number of centroids for N rows: about four times the root, a power of two.

    >>> list_count(1_000_000), list_count(100)
    (4096, 2)
    """
    wanted = min(4 * rows**0.5, rows / 39, _MOST_LISTS)
    count = 1
    while 2 * count <= wanted * 1.03:
        count *= 2
    return count


def _graph(rows: int, dim: int) -> Candidate:
    # A link is four bytes, and the lowest level has twice as many.
    row_bytes = dim + 8 * _HNSW_LINKS + 24
    return Candidate("hnsw", f"HNSW{_HNSW_LINKS},SQ8", 0, dim, rows * row_bytes)


def _lists(rows: int, dim: int) -> Candidate:
    lists = list_count(rows)
    return Candidate("ivf", f"IVF{lists},SQ8", lists, dim, rows * (dim + 8) + 4 * lists * dim)


def _coded(rows: int, dim: int, each: int) -> Candidate:
    lists = list_count(rows)
    codes = max(1, -(-dim // each))
    padded = codes * each
    pad = f"Pad{padded}," if padded != dim else ""
    code = -(-codes // 2)
    ram = rows * (code + 8) + 4 * lists * padded
    return Candidate("ivfpq", f"{pad}IVF{lists},PQ{codes}x4fs", lists, code, ram)
