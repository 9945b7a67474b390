"""Exact search in a memory that fits into RAM, for many queries: bytes propose, floats settle.

A float32 product of every query with every row is nine tenths of the time that a prediction takes.
Processors multiply bytes some eight times faster, so vectors are rounded to bytes first and the
best rows by those products are scored again in float32.

Rounding moves a score: with ``e`` the rounding errors of the two vectors, by ``q.e(m) + e(q).m``.
The errors of single numbers lie evenly on both sides of zero and know nothing of the other vector,
so the sum spreads by at most ``(|q| |e(m)| + |e(q)| |m|) / sqrt(D)`` about zero. A query's answer
is taken as certain where the k-th row found lies ``_CERTAIN`` such deviations above what rounding
made of the best row left out. Queries for which it does not are looked at again by the memory's
own search. Thus this changes the time, and of the answer the last digits of the scores.
"""

from __future__ import annotations

from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rac.branches.base import Floats, Integers
from rac.cores import usable_cores
from retrieval_index import Memory, Neighbours
from retrieval_index.approximate import score_proposals
from retrieval_index.ranking import best_first
from retrieval_index.stack import Stack

if TYPE_CHECKING:
    import torch

#: Below it there is nothing to gain; above it the memory's own index is due.
_FEWEST_ROWS, _MOST_ROWS = 2048, 1 << 17
_FEWEST_DIMENSIONS = 64
#: Candidates beside the k that are wanted.
_SPARE = 34
#: Deviations; were the errors normal, one query in 10^12 would lose a row that belongs to it.
_CERTAIN = 8.0
#: The best n rows lie in the n groups whose best rows are best, so few numbers must be sorted.
_GROUP = 16
_MOST_CHUNK = 512
_MOST_WORKERS = 8
_BUFFER_NUMBERS = 1 << 25
_LARGEST = 127


class NearestRows:
    """The search of one memory.

    Args:
        memory: that :func:`suits`.

    Attributes:
        chunk: queries that are looked at together; a search of more gains nothing.
        workers: threads whose searches gain from running side by side; more of them wait.
    """

    def __init__(self, memory: Memory) -> None:
        import torch

        self._memory = memory
        self._rows: Floats = np.ascontiguousarray(memory.searchable)
        count, dim = self._rows.shape
        self._groups = -(-count // _GROUP)
        self._step = float(np.abs(self._rows).max()) / _LARGEST or 1.0
        rounded = np.zeros((self._groups * _GROUP, dim), dtype=np.int8)
        rounded[:count] = np.rint(self._rows / np.float32(self._step))
        self._loss = _largest_loss(self._rows, rounded[:count], self._step)
        self._rounded = torch.from_numpy(rounded).T
        self.workers = min(usable_cores(), _MOST_WORKERS)
        self.chunk = min(_MOST_CHUNK, _BUFFER_NUMBERS // (self.workers * len(rounded)))
        # Fresh pages would cost as much as the products that are written to them.
        self._buffers: SimpleQueue[torch.Tensor] = SimpleQueue()
        # Lightning tests in inference mode, whose tensors may not be written to outside of it.
        with torch.inference_mode(False):
            for _ in range(self.workers):
                self._buffers.put(torch.empty((self.chunk, len(rounded)), dtype=torch.int32))

    def search(self, features: Floats, mapped: Floats, k: int) -> Neighbours:
        """Find the k nearest rows of each query; ties by (-score, id).

        Args:
            features: ``(Q, D)`` as the encoder gave them.
            mapped: ``(Q, D')`` float32, the same under the memory's metric.
            k: neighbours wanted, at least 1.

        Returns:
            ``(Q, k)`` neighbours as ``memory.search(features, k)`` gives them, the scores summed
            in float32.
        """
        answer = Neighbours.none(len(mapped), k)
        certain = np.zeros(len(mapped), dtype=np.bool_)
        buffer = self._buffers.get()
        try:
            for start in range(0, len(mapped), self.chunk):
                part = slice(start, start + self.chunk)
                found, certain[part] = self._settled(mapped[part], k, buffer)
                answer.scores[part], answer.rows[part] = found.scores, found.rows
        finally:
            self._buffers.put(buffer)
        again = np.flatnonzero(~certain)
        if len(again):
            found = self._memory.search(features[again], k)
            answer.scores[again], answer.rows[again] = found.scores, found.rows
        return answer

    def _settled(
        self, queries: Floats, k: int, buffer: torch.Tensor
    ) -> tuple[Neighbours, npt.NDArray[np.bool_]]:
        """Give ``(B, k)`` neighbours of B queries, and ``(B,)`` whether they are certain."""
        import torch

        steps = np.abs(queries).max(axis=1, keepdims=True) / np.float32(_LARGEST)
        steps[steps == 0.0] = 1.0
        rounded = np.rint(queries / steps).astype(np.int8)
        loss = np.linalg.norm(queries - rounded * steps, axis=1) + self._loss
        rows, limit = self._candidates(torch.from_numpy(rounded), k + _SPARE, buffer)
        scores = score_proposals(Stack([self._rows]), queries, rows)
        found = best_first(scores, rows, self._places, k)
        bound = limit * (steps[:, 0] * self._step) + _CERTAIN * loss / np.sqrt(queries.shape[1])
        return found, found.scores[:, -1] > bound

    def _candidates(
        self, queries: torch.Tensor, wide: int, buffer: torch.Tensor
    ) -> tuple[Integers, Integers]:
        """Give the ``(B, wide)`` best rows by products of bytes, -1 for none, and ``(B,)`` the
        product that no other row exceeds.
        """
        import torch

        count = len(queries)
        products = torch._int_mm(queries, self._rounded, out=buffer[:count])
        # Row r is member r // groups of group r % groups: so the best of each are found in one
        # pass over the numbers as they lie.
        grouped = products.view(count, _GROUP, self._groups)
        groups = torch.topk(grouped.amax(1), wide, dim=1, sorted=False).indices
        members = grouped.gather(2, groups[:, None].expand(count, _GROUP, wide))
        best, place = torch.topk(members.reshape(count, -1), wide, dim=1, sorted=False)
        rows = place // wide * self._groups + groups.gather(1, place % wide)
        rows.masked_fill_(rows >= len(self._rows), -1)
        return rows.numpy(), best.amin(1).numpy()

    @cached_property
    def _places(self) -> Integers:
        """``(N,)`` place of each row among the sorted ids."""
        ids = self._memory.ids
        places = np.empty(len(ids), dtype=np.int64)
        places[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        return places


def suits(memory: Memory, k: int) -> bool:
    """Tell whether :class:`NearestRows` can search a memory for k neighbours, and is worth it.

    It is for memories of a middling size without an approximate index, on processors that
    multiply bytes (VNNI).
    """
    fits = (
        _FEWEST_ROWS <= len(memory) <= _MOST_ROWS
        and (k + _SPARE) * _GROUP <= len(memory)
        and memory.lookup.index is None
        and memory.searchable.shape[1] >= _FEWEST_DIMENSIONS
    )
    if not fits:
        return False
    import torch

    return bool(torch.cpu._is_vnni_supported())


def _largest_loss(rows: Floats, rounded: npt.NDArray[np.int8], step: float) -> float:
    """Give the largest norm of a row's rounding errors."""
    largest = 0.0
    for start in range(0, len(rows), _MOST_CHUNK):
        part = slice(start, start + _MOST_CHUNK)
        errors = rows[part] - rounded[part] * np.float32(step)
        largest = max(largest, float(np.linalg.norm(errors, axis=1).max()))
    return largest
