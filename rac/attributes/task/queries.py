"""Rows whose cells are to be answered, as the sources of evidence see them.

Letters of shapes: N rows of a table, Q rows asked about, P projected dimensions, C values, S
answers (the values, and "not applicable" behind them where that can be the answer), V values of the
other columns together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rac.attributes.attribute import Attribute
from rac.attributes.rows import Cells
from rac.attributes.task.cooccurrence import Columns
from rac.attributes.task.memory import Lookup
from rac.encoders.base import FloatArray


@dataclass(frozen=True)
class AskedRows:
    """Q rows, and what is known of them.

    Attributes:
        features: (Q, P) float32 projected trunk features.
        prompts: (Q, C) float32 scores from prompts; zeros where there are none.
        possible: (Q, S) whether the row's other cells leave an answer possible; None where all are.
        others: (Q, V) sparse, which values the row's other cells have.
    """

    features: FloatArray
    prompts: FloatArray
    possible: npt.NDArray[np.bool_] | None
    others: csr_array

    @classmethod
    def of(
        cls,
        features: FloatArray,
        prompts: FloatArray,
        cells: Cells,
        rows: npt.NDArray[np.int64],
        attribute: Attribute,
        answer_count: int,
        columns: Columns,
    ) -> AskedRows:
        """Look at some rows of a table.

        Args:
            features: (Q, P) of these rows.
            prompts: (Q, C) of these rows.
            cells: of all N rows.
            rows: (Q,) which of the N.
            attribute: that they are asked about.
            answer_count: S.
            columns: whose cells are looked at.
        """
        codes = {name: cells.codes[name][rows] for name in columns.names}
        possible = cells.possible_answers(attribute, answer_count, rows)
        return cls(features, prompts, possible, columns.members(codes, len(rows)))

    def take(self, part: slice) -> AskedRows:
        """Give some of the rows."""
        possible = None if self.possible is None else self.possible[part]
        return AskedRows(self.features[part], self.prompts[part], possible, self.others[part])


@dataclass(frozen=True)
class Queries:
    """Q rows that sources are asked about; none of them is among the rows of the memory.

    Attributes:
        rows: what is known of them.
        near: what the memory says of them, looked up once for all sources.
    """

    rows: AskedRows
    near: Lookup
