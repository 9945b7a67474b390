"""What the known cells of a row say about its missing ones: values that go together.

Letters of shapes: N rows, Q queries, B columns, V values of all of them together, S answers (values
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
    def of(cls, sizes: Mapping[str, int], answer_count: int) -> Columns:
        """Number the values of columns; those with no value, or too many to hold, are left out."""
        used = {
            name: size for name, size in sizes.items() if 0 < size * answer_count <= _LARGEST_TABLE
        }
        ends = np.cumsum([0, *used.values()])
        return cls(tuple(used), ends[:-1], int(ends[-1]))

    @classmethod
    def none(cls) -> Columns:
        """Give no columns."""
        return cls((), np.zeros(0, np.int64), 0)

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
class CooccurrenceScores:
    """How much the values of other columns speak for each answer.

    Attributes:
        columns: whose values.
        table: (V, S).
    """

    columns: Columns
    table: FloatArray

    def of_members(self, members: csr_array) -> FloatArray:
        """Add up what the other cells of Q rows say: (Q, S), 0 where they say nothing.

        Args:
            members: their (Q, V) values, from :meth:`Columns.members`.
        """
        return np.asarray(members @ self.table, np.float32)


@dataclass(frozen=True)
class Cooccurrence:
    """How often each answer goes with each value of the other columns.

    Attributes:
        columns: these columns.
        counts: (V, S) rows that have both.
        answers: (S,) rows of each answer.
    """

    columns: Columns
    counts: IntArray
    answers: IntArray

    @classmethod
    def count(
        cls, answers: IntArray, codes: Mapping[str, CodeArray], columns: Columns, answer_count: int
    ) -> Cooccurrence:
        """Count N rows, column by column: of a wide table no more is held than one column takes.

        Args:
            answers: (N,) each row's answer.
            codes: for each column the (N,) codes, below zero where there is no value.
            columns: which to look at.
            answer_count: S.
        """
        counts = np.zeros(columns.values * answer_count, np.int64)
        ends = [*columns.first.tolist(), columns.values]
        for place, name in enumerate(columns.names):
            known = codes[name] >= 0
            pairs = codes[name][known].astype(np.int64) * answer_count + answers[known]
            first, end = ends[place] * answer_count, ends[place + 1] * answer_count
            counts[first:end] = np.bincount(pairs, minlength=end - first)
        table = counts.reshape(columns.values, answer_count)
        return cls(columns, table, np.bincount(answers, minlength=answer_count))

    @classmethod
    def among(
        cls, answers: IntArray, members: csr_array, columns: Columns, answer_count: int
    ) -> Cooccurrence:
        """Count N rows whose (N, V) values :meth:`Columns.members` has looked up."""
        pairs = np.repeat(answers, np.diff(members.indptr))
        pairs += members.indices.astype(np.int64) * answer_count
        counts = np.bincount(pairs, minlength=columns.values * answer_count)
        table = counts.reshape(columns.values, answer_count)
        return cls(columns, table, np.bincount(answers, minlength=answer_count))

    def without(self, other: Cooccurrence) -> Cooccurrence:
        """Take rows that were counted out again."""
        return Cooccurrence(self.columns, self.counts - other.counts, self.answers - other.answers)

    def scores(self) -> CooccurrenceScores:
        """Give how much each value speaks for each answer.

        It is the pointwise mutual information log P(answer | value) / P(answer), where a value that
        few rows have is drawn towards 0 as if two more rows had been seen.
        """
        prior = (self.answers + 1) / (self.answers.sum() + len(self.answers))
        rows = self.counts.sum(axis=1, keepdims=True) + _PRIOR_ROWS
        speaks = self.counts + _PRIOR_ROWS * prior
        speaks /= rows
        speaks /= prior
        np.log(speaks, out=speaks)
        table = speaks.clip(-_MOST, _MOST, out=speaks).astype(np.float32)
        return CooccurrenceScores(self.columns, table)
