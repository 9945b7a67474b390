"""Arrays on top of each other, read as one array without being copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from retrieval_index.arrays import FloatArray, IntArray


class Stack:
    """(N, D) vectors that lie in several arrays, in order; rows are numbered through.

    >>> stack = Stack([np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32)])
    >>> stack.shape
    (3, 3)
    >>> stack[np.array([[2, 0]])][..., 0]
    array([[1., 0.]], dtype=float32)

    Attributes:
        parts: the arrays, at least one, each (M, D) float32.
        starts: number of the first row of each part, and N at the end.
    """

    def __init__(self, parts: Sequence[FloatArray]) -> None:
        self.parts = tuple(parts)
        self.starts: list[int] = [0, *np.cumsum([len(part) for part in self.parts]).tolist()]

    @property
    def shape(self) -> tuple[int, int]:
        """Give (N, D)."""
        return self.starts[-1], self.parts[0].shape[1]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Give rows by number: an array of shape S gives one of shape S + (D,)."""
        if len(self.parts) == 1:
            # The plain array under a memory-map gathers faster than the map.
            only: FloatArray = np.asarray(self.parts[0])[rows]
            return only
        found = np.empty((*rows.shape, self.shape[1]), dtype=np.float32)
        for start, part in zip(self.starts, self.parts, strict=False):
            inside = (rows >= start) & (rows < start + len(part))
            if inside.any():
                found[inside] = part[rows[inside] - start]
        return found

    def blocks(self, size: int) -> Iterator[tuple[int, FloatArray]]:
        """Give (number of the first row, at most ``size`` rows) from the first to the last."""
        for start, part in zip(self.starts, self.parts, strict=False):
            for top in range(0, len(part), size):
                yield start + top, part[top : top + size]

    def after(self, row: int) -> list[tuple[int, FloatArray]]:
        """Give (number of the first row, array) of what comes from ``row`` on."""
        return [
            (max(start, row), part[max(0, row - start) :])
            for start, part in zip(self.starts, self.parts, strict=False)
            if start + len(part) > row
        ]

    def whole(self) -> FloatArray:
        """Give all rows as one array; copied where there are several."""
        return self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)


Vectors: TypeAlias = FloatArray | Stack
"""Rows in one array, or in several."""


def as_stack(vectors: Vectors) -> Stack:
    """Give a stack of one array for an array, and a stack as it is."""
    return vectors if isinstance(vectors, Stack) else Stack([vectors])
