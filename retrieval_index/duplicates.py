"""Rows of a memory that show nearly the same, and those that only repeat an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray, IntArray, unit_norm
from retrieval_index.near_duplicates import NearDuplicates
from retrieval_index.view import View

_BLOCK_QUERIES = 1024
_BLOCK_ROWS = 16_384
_NEIGHBOURS = 64


@dataclass(frozen=True, eq=False)
class DuplicatePairs:
    """Pairs of rows whose raw cosine (before the metric) is at least a threshold.

    Attributes:
        first: (P,) row numbers, ascending.
        second: (P,) row numbers, each greater than its partner.
        cosines: (P,) float32.
        complete: False where an approximate index proposed the pairs, so that some may be missing.
    """

    first: IntArray
    second: IntArray
    cosines: FloatArray
    complete: bool

    def __len__(self) -> int:
        """Give P."""
        return len(self.first)


def duplicate_pairs(memory: View, threshold: float) -> DuplicatePairs:
    """Find the pairs of rows that show nearly the same.

    Every row is compared with every other where the memory is searched exactly. Where it has an
    approximate index, each row is compared with its 64 nearest under the metric.

    Args:
        memory: N rows.
        threshold: cosine in [-1, 1] from which on two rows count.
    """
    if memory.manifest.index.kind == "flat":
        first, second = _every_pair(memory.vectors, threshold)
    else:
        first, second = _near_pairs(memory)
    exact = NearDuplicates(memory.vectors, memory.vectors, threshold)
    keep = np.zeros(len(first), dtype=np.bool_)
    cosines = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        keep[part] = exact.of(first[part], second[part, np.newaxis])[:, 0]
        cosines[part] = _cosines(memory.vectors, first[part], second[part])
    first, second, cosines = first[keep], second[keep], cosines[keep]
    order = np.lexsort((second, first))
    return DuplicatePairs(
        first[order], second[order], cosines[order], memory.manifest.index.kind == "flat"
    )


def repeated(pairs: DuplicatePairs, count: int) -> npt.NDArray[np.bool_]:
    """Say of N rows which only repeat an earlier one that is kept.

    A row goes if a row before it that stays is its near-duplicate; so a chain of rows, each like
    the next, does not vanish into its first.

    >>> chain = DuplicatePairs(np.array([0, 1]), np.array([1, 2]), np.ones(2, np.float32), True)
    >>> repeated(chain, 3)
    array([False,  True, False])
    """
    gone = np.zeros(count, dtype=np.bool_)
    for place in np.lexsort((pairs.first, pairs.second)):
        if not gone[pairs.first[place]]:
            gone[pairs.second[place]] = True
    return gone


def repeated_ids(memory: View, threshold: float) -> list[str]:
    """Give the ids of the rows that only repeat an earlier one."""
    gone = repeated(duplicate_pairs(memory, threshold), len(memory))
    return [memory.ids[row] for row in np.flatnonzero(gone)]


def _every_pair(vectors: FloatArray, threshold: float) -> tuple[IntArray, IntArray]:
    """Give the pairs that float32 arithmetic cannot rule out."""
    least = np.float32(threshold) - np.float32(1.01 * (vectors.shape[1] + 4) * 2.0**-23)
    found: list[tuple[IntArray, IntArray]] = []
    for top in range(0, len(vectors), _BLOCK_QUERIES):
        asked = unit_norm(vectors[top : top + _BLOCK_QUERIES])
        for left in range(top - top % _BLOCK_ROWS, len(vectors), _BLOCK_ROWS):
            cosines = asked @ unit_norm(vectors[left : left + _BLOCK_ROWS]).T
            queries, rows = np.nonzero(cosines >= least)
            queries, rows = queries + top, rows + left
            later = rows > queries
            found.append((queries[later], rows[later]))
    return _joined(found)


def _near_pairs(memory: View) -> tuple[IntArray, IntArray]:
    found: list[tuple[IntArray, IntArray]] = []
    for top in range(0, len(memory), _BLOCK_ROWS):
        asking = np.arange(top, min(top + _BLOCK_ROWS, len(memory)))
        rows = memory.leave_one_out(_NEIGHBOURS, rows=asking).rows
        queries = np.repeat(asking, _NEIGHBOURS)
        near = rows.ravel()
        there = near >= 0
        pair = np.sort(np.stack([queries[there], near[there]], axis=1), axis=1)
        found.append((pair[:, 0], pair[:, 1]))
    first, second = _joined(found)
    if not len(first):
        return first, second
    distinct = np.unique(np.stack([first, second], axis=1), axis=0)
    return distinct[:, 0], distinct[:, 1]


def _joined(found: list[tuple[IntArray, IntArray]]) -> tuple[IntArray, IntArray]:
    none = np.empty(0, dtype=np.int64)
    return (
        np.concatenate([none, *(first for first, _ in found)]),
        np.concatenate([none, *(second for _, second in found)]),
    )


def _cosines(vectors: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    a, b = unit_norm(vectors[first]), unit_norm(vectors[second])
    cosines: FloatArray = np.einsum("nd,nd->n", a, b, dtype=np.float64).astype(np.float32)
    return cosines
