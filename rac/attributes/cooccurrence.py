"""What the known cells of a row say about its missing ones: values that go together.

Letters of shapes: N rows, Q queries, B columns, V values of all of them together, S slots (values
of the attribute, and "not applicable" behind them where it can be the answer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rac.attributes.cells import CodeArray
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

_PRIOR_ROWS = 2.0
_MOST = 6.0
_LARGEST_TABLE = 2_000_000


@dataclass(frozen=True)
class Columns:
    """The columns whose cells are looked at, B of them, their values numbered one after another.

    Attributes:
        names: of the columns.
        first: (B,) number of each column's first value.
        values: V.
    """

    names: tuple[str, ...]
    first: IntArray
    values: int

    @classmethod
    def of(cls, sizes: Mapping[str, int], slot_count: int) -> Columns:
        """Number the values of columns; those with no value, or too many to hold, are left out."""
        used = {
            name: size for name, size in sizes.items() if 0 < size * slot_count <= _LARGEST_TABLE
        }
        ends = np.cumsum([0, *used.values()])
        return cls(tuple(used), ends[:-1], int(ends[-1]))

    def members(self, codes: Mapping[str, CodeArray], rows: int) -> csr_array:
        """Give the (N, V) sparse matrix of which value each row's cells have."""
        if not self.names:
            return csr_array((rows, 0), dtype=np.float32)
        stacked = np.stack([codes[name] for name in self.names], axis=1)
        known = stacked >= 0
        ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        places = (stacked + self.first)[known]
        ones = np.ones(len(places), np.float32)
        return csr_array((ones, places, ends), shape=(rows, self.values))


@dataclass(frozen=True)
class Spoken:
    """How much the values of other columns speak for each slot.

    Attributes:
        columns: whose values.
        table: (V, S).
    """

    columns: Columns
    table: FloatArray

    @classmethod
    def nothing(cls, slot_count: int) -> Spoken:
        """Give that of no columns."""
        return cls(Columns.of({}, slot_count), np.zeros((0, slot_count), np.float32))

    def evidence(self, codes: Mapping[str, CodeArray], rows: int) -> FloatArray:
        """Add up what the other cells of Q rows say: (Q, S), 0 where they say nothing.

        Args:
            codes: for each column the (Q,) codes, below zero where there is no value.
            rows: Q.
        """
        return self.told_by(self.columns.members(codes, rows))

    def told_by(self, members: csr_array) -> FloatArray:
        """Do the same for rows whose (Q, V) values :meth:`Columns.members` has looked up."""
        return np.asarray(members @ self.table, np.float32)


@dataclass(frozen=True)
class Cooccurrence:
    """How often each slot goes with each value of the other columns.

    Attributes:
        columns: these columns.
        counts: (V, S) rows that have both.
        slots: (S,) rows of each slot.
    """

    columns: Columns
    counts: IntArray
    slots: IntArray

    @classmethod
    def count(
        cls, slots: IntArray, codes: Mapping[str, CodeArray], columns: Columns, slot_count: int
    ) -> Cooccurrence:
        """Count N rows, column by column: of a wide table no more is held than one column takes.

        Args:
            slots: (N,) each row's slot.
            codes: for each column the (N,) codes, below zero where there is no value.
            columns: which to look at.
            slot_count: S.
        """
        counts = np.zeros(columns.values * slot_count, np.int64)
        ends = [*columns.first.tolist(), columns.values]
        for place, name in enumerate(columns.names):
            known = codes[name] >= 0
            pairs = codes[name][known].astype(np.int64) * slot_count + slots[known]
            first, end = ends[place] * slot_count, ends[place + 1] * slot_count
            counts[first:end] = np.bincount(pairs, minlength=end - first)
        table = counts.reshape(columns.values, slot_count)
        return cls(columns, table, np.bincount(slots, minlength=slot_count))

    @classmethod
    def among(
        cls, slots: IntArray, members: csr_array, columns: Columns, slot_count: int
    ) -> Cooccurrence:
        """Count N rows whose (N, V) values :meth:`Columns.members` has looked up."""
        pairs = np.repeat(slots, np.diff(members.indptr))
        pairs += members.indices.astype(np.int64) * slot_count
        counts = np.bincount(pairs, minlength=columns.values * slot_count)
        table = counts.reshape(columns.values, slot_count)
        return cls(columns, table, np.bincount(slots, minlength=slot_count))

    def without(self, other: Cooccurrence) -> Cooccurrence:
        """Take rows that were counted out again."""
        return Cooccurrence(self.columns, self.counts - other.counts, self.slots - other.slots)

    def spoken(self) -> Spoken:
        """Give how much each value speaks for each slot.

        It is the pointwise mutual information log P(slot | value) / P(slot), where a value that
        few rows have is drawn towards 0 as if two more rows had been seen.
        """
        prior = (self.slots + 1) / (self.slots.sum() + len(self.slots))
        rows = self.counts.sum(axis=1, keepdims=True) + _PRIOR_ROWS
        speaks = self.counts + _PRIOR_ROWS * prior
        speaks /= rows
        speaks /= prior
        np.log(speaks, out=speaks)
        return Spoken(self.columns, speaks.clip(-_MOST, _MOST, out=speaks).astype(np.float32))
