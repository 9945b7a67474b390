"""What the known cells of a row say about its missing ones: values that go together.

Letters of shapes: N rows, Q queries, B columns, C_b values of one of them, S slots (values of the
attribute, and "not applicable" behind them where it can be the answer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import CodeArray
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

_PRIOR_ROWS = 2.0
_MOST = 6.0
_LARGEST_TABLE = 2_000_000


@dataclass(frozen=True)
class Cooccurrence:
    """How often each slot goes with each value of the other columns.

    Attributes:
        counts: for each column (C_b, S) rows that have both.
        slots: (S,) rows of each slot.
    """

    counts: Mapping[str, npt.NDArray[np.int64]]
    slots: IntArray

    @classmethod
    def count(
        cls,
        slots: IntArray,
        others: Mapping[str, CodeArray],
        sizes: Mapping[str, int],
        slot_count: int,
    ) -> Cooccurrence:
        """Count N rows.

        Args:
            slots: (N,) each row's slot.
            others: for each other column the (N,) codes, below zero where there is no value.
            sizes: how many values each column has; pairs too many to hold are left out.
            slot_count: S.
        """
        counts = {}
        for name, codes in others.items():
            size = sizes[name]
            if not 0 < size * slot_count <= _LARGEST_TABLE:
                continue
            known = codes >= 0
            pairs = codes[known].astype(np.int64) * slot_count + slots[known]
            counts[name] = np.bincount(pairs, minlength=size * slot_count).reshape(size, slot_count)
        return cls(counts, np.bincount(slots, minlength=slot_count))

    def without(self, other: Cooccurrence) -> Cooccurrence:
        """Take rows that were counted out again."""
        counts = {name: table - other.counts[name] for name, table in self.counts.items()}
        return Cooccurrence(counts, self.slots - other.slots)

    def tables(self) -> dict[str, FloatArray]:
        """Give for each column (C_b + 1, S) how much a value speaks for a slot; the last row, 0.

        It is the pointwise mutual information log P(slot | value) / P(slot), where a value that
        few rows have is drawn towards 0 as if two more rows had been seen.
        """
        prior = (self.slots + 1) / (self.slots.sum() + len(self.slots))
        found = {}
        for name, table in self.counts.items():
            share = (table + _PRIOR_ROWS * prior) / (table.sum(axis=1, keepdims=True) + _PRIOR_ROWS)
            speaks = np.clip(np.log(share / prior), -_MOST, _MOST).astype(np.float32)
            found[name] = np.concatenate([speaks, np.zeros((1, len(prior)), np.float32)])
        return found


def row_evidence(
    tables: Mapping[str, FloatArray], others: Mapping[str, CodeArray], shape: tuple[int, int]
) -> FloatArray:
    """Add up what the other cells of Q rows say: (Q, S), 0 where they say nothing."""
    total = np.zeros(shape, np.float32)
    for name, table in tables.items():
        codes = others[name]
        if (codes >= 0).any():
            total += table[np.where(codes >= 0, codes, -1)]
    return total
