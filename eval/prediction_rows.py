"""Rows of predictions as an Arrow table: its columns, and its cells checked and made numbers.

Everything here works on whole columns, since a prediction file has millions of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eval.arrays import Bools, Floats, Ints, Scores
from eval.errors import ReportFault
from eval.header import RunHeader
from eval.image_sets import digests_of
from eval.metrics import best_classes

REQUIRED = ("id", "label", "prediction")
SCORE_COLUMNS = ("scores", "base_scores", "retrieval_scores")
NEIGHBOUR_COLUMNS = (
    "neighbour_ids",
    "neighbour_labels",
    "neighbour_scores",
    "neighbour_images",
)
#: The columns with one value a cell, which a CSV can have too.
PLAIN_COLUMNS = (
    *REQUIRED,
    "confidence",
    "base_prediction",
    "retrieval_prediction",
    "image",
    "content_hash",
)
COLUMNS = (*PLAIN_COLUMNS, *SCORE_COLUMNS, "top_classes", *NEIGHBOUR_COLUMNS)

_CACHED_CELLS = 1 << 18  # score cells looked at together; they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Consecutive rows of a run. Reading a column checks it; a fault names row, id and column.

    Attributes:
        table: (N,) rows with some of :data:`COLUMNS`.
        header: of the run.
        where: how faults call what the rows come from: the file, or the run.
        first: position of the block's first row in the run.
    """

    table: pa.Table
    header: RunHeader
    where: str
    first: int = 0

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    def check(self) -> None:
        """Read every column once.

        Raises:
            ReportFault: a cell is not what its column must hold.
        """
        _ = self.labels, self.confidence, self.base, self.retrieval, self.digests
        for name in SCORE_COLUMNS:
            self.scores(name)
        _ = self.top_classes
        self.check_neighbours()

    def place(self, row: int, column: str) -> str:
        """Words that lead a person to a cell: the row counted from 1, its id, and the column."""
        id = self.ids[row].as_py()
        return f"{self.where}: row {self.first + row + 1} (id {id!r}), column {column!r}"

    @cached_property
    def ids(self) -> pa.StringArray:
        """(N,) ids as they are; whether they are unique is for the whole run to say."""
        return self._text("id")

    @cached_property
    def labels(self) -> Ints:
        """(N,) class index of the label; -1 where unknown."""
        return self._classes("label")

    @cached_property
    def predictions(self) -> Ints:
        """(N,) class index of the prediction; -1 where none was made."""
        return self._classes("prediction")

    @cached_property
    def base(self) -> Ints | None:
        """(N,) prediction of the base branch, -1 for none; None where it is not known."""
        return self._branch("base")

    @cached_property
    def retrieval(self) -> Ints | None:
        """(N,) prediction of the retrieval branch, -1 for none; None where it is not known."""
        return self._branch("retrieval")

    @cached_property
    def confidence(self) -> Floats | None:
        """(N,) probability of the prediction, NaN without one; None without the column."""
        if not self._has("confidence"):
            return None
        column = _joined(self.table.column("confidence"))
        try:
            sure: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as fault:
            raise ReportFault(
                f"{self.where}: column 'confidence' must hold numbers ({fault})"
            ) from fault
        made = self.predictions >= 0
        bad = np.flatnonzero(made & ~((sure >= -1e-6) & (sure <= 1 + 1e-6)))
        if bad.size:
            row = int(bad[0])
            raise ReportFault(
                f"{self.place(row, 'confidence')}: {sure[row]} is not a probability between 0 and 1"
            )
        return np.where(made, np.clip(sure, 0, 1), np.nan)

    @cached_property
    def digests(self) -> tuple[npt.NDArray[np.uint64], Bools] | None:
        """(N,) digests of the images' contents and (N,) whether they are known."""
        if not self._has("content_hash"):
            return None
        cells = self._text("content_hash")
        known: Bools = cells.is_valid().to_numpy(zero_copy_only=False)
        digests = np.zeros(len(self), dtype=np.uint64)
        try:
            digests[known] = digests_of(cells.drop_null())
        except ReportFault as fault:
            raise ReportFault(
                f"{self.where}, rows from {self.first + 1} on, column 'content_hash': {fault}"
            ) from fault
        return digests, known

    def scores(self, name: str) -> Scores | None:
        """(N, C) scores of a column; rows without a prediction may lack theirs and are -inf.

        Raises:
            ReportFault: a row has another number of scores, or one that is NaN or +inf.
        """
        if not self._has(name):
            return None
        column, classes = _joined(self.table.column(name)), len(self.header.classes)
        there: Bools = column.is_valid().to_numpy(zero_copy_only=False)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        optional = ~there & (self.predictions < 0)
        wrong = np.flatnonzero((lengths != classes) & ~optional)
        if wrong.size:
            row = int(wrong[0])
            raise ReportFault(
                f"{self.place(row, name)}: {lengths[row]} scores for {classes} classes"
            )
        flat = pc.list_flatten(column).cast(pa.float32()).to_numpy(zero_copy_only=False)
        matrix: Scores = flat.reshape(int(there.sum()), classes)
        if not there.all():
            whole = np.full((len(self), classes), -np.inf, dtype=np.float32)
            whole[there] = matrix
            matrix = whole
        self._check_scores(name, matrix)
        return matrix

    @cached_property
    def top_classes(self) -> tuple[Ints, int] | None:
        """(N,) place of the label among the row's best classes, and how deep these lists are.

        A label that is not in its row's list has the list's length. The depth is that of the
        shortest list of a row with a prediction; places from there on are not to be told apart.
        """
        if not self._has("top_classes"):
            return None
        column = _joined(self.table.column("top_classes"))
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        lengths = lengths.astype(np.int64)
        parents = np.repeat(np.arange(len(self)), lengths)
        index = self._index(pc.list_flatten(column), "top_classes", parents)
        starts = np.cumsum(lengths) - lengths
        hits = np.flatnonzero((index == self.labels[parents]) & (index >= 0))
        # The first place counts, should a class be listed twice.
        rows, first = np.unique(parents[hits], return_index=True)
        places = lengths.copy()
        places[rows] = hits[first] - starts[rows]
        made = lengths[self.predictions >= 0]
        return places, int(made.min()) if made.size else len(self.header.classes)

    @cached_property
    def purity(self) -> Floats | None:
        """(N,) share of a row's neighbours with its label; NaN without neighbours or label."""
        if not (self._has("neighbour_ids") and self._has("neighbour_labels")):
            return None
        names = _joined(self.table.column("neighbour_ids"))
        near = _joined(self.table.column("neighbour_labels"))
        lengths = pc.list_value_length(names).fill_null(0).to_numpy(zero_copy_only=False)
        parents = np.repeat(np.arange(len(self)), lengths)
        there = pc.list_flatten(names).is_valid().to_numpy(zero_copy_only=False)
        found = pc.index_in(_as_text(pc.list_flatten(near)), value_set=self._names).fill_null(-1)
        same = found.to_numpy(zero_copy_only=False) == self.labels[parents]
        asked = self.labels >= 0
        counted = np.bincount(parents[there], minlength=len(self))
        equal = np.bincount(parents[there & same & asked[parents]], minlength=len(self))
        purity = np.full(len(self), np.nan)
        np.divide(equal, counted, out=purity, where=asked & (counted > 0))
        return purity

    def check_neighbours(self) -> None:
        """Refuse neighbour columns that do not fit each other.

        Raises:
            ReportFault: lists of different lengths, labels or similarities without ids, or a
                neighbour without a finite similarity.
        """
        others = [name for name in NEIGHBOUR_COLUMNS[1:] if self._has(name)]
        if not self._has("neighbour_ids"):
            if others:
                raise ReportFault(f"{self.where}: {others[0]!r} is given without 'neighbour_ids'")
            return
        names = _joined(self.table.column("neighbour_ids"))
        lengths = pc.list_value_length(names).fill_null(0).to_numpy(zero_copy_only=False)
        for name in others:
            column = _joined(self.table.column(name))
            given = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
            wrong = np.flatnonzero(given != lengths)
            if wrong.size:
                row = int(wrong[0])
                raise ReportFault(
                    f"{self.place(row, name)}: {given[row]} cells for {lengths[row]} neighbours"
                )
        if self._has("neighbour_scores"):
            column = pc.list_flatten(_joined(self.table.column("neighbour_scores")))
            near = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            there = pc.list_flatten(names).is_valid().to_numpy(zero_copy_only=False)
            bad = np.flatnonzero(there & ~np.isfinite(near))
            if bad.size:
                row = int(np.repeat(np.arange(len(self)), lengths)[bad[0]])
                raise ReportFault(
                    f"{self.place(row, 'neighbour_scores')}: {near[bad[0]]} is not a similarity"
                )

    @cached_property
    def _names(self) -> pa.StringArray:
        return pa.array(self.header.classes, pa.string())

    def _has(self, name: str) -> bool:
        return name in self.table.column_names

    def _text(self, name: str) -> pa.StringArray:
        return _as_text(_joined(self.table.column(name)))

    def _classes(self, name: str) -> Ints:
        return self._index(self._text(name), name, np.arange(len(self)))

    def _branch(self, branch: str) -> Ints | None:
        scores = self.scores(f"{branch}_scores")
        if scores is not None:
            return best_classes(scores)
        name = f"{branch}_prediction"
        return self._classes(name) if self._has(name) else None

    def _index(self, cells: pa.Array, name: str, parents: Ints) -> Ints:
        """Class index of each cell, -1 for null; ``parents`` are the rows that they are in."""
        cells = _as_text(cells)
        found = pc.index_in(cells, value_set=self._names).fill_null(-1)
        index: Ints = found.to_numpy(zero_copy_only=False).astype(np.int64)
        missing = np.flatnonzero(index < 0)
        unknown = missing[cells.take(pa.array(missing)).is_valid().to_numpy(zero_copy_only=False)]
        if unknown.size:
            cell = int(unknown[0])
            raise ReportFault(
                f"{self.place(int(parents[cell]), name)}: {cells[cell].as_py()!r} is not among the "
                f"{len(self.header.classes)} classes"
            )
        return index

    def _check_scores(self, name: str, matrix: Scores) -> None:
        if not matrix.shape[1]:
            return
        step = max(1, _CACHED_CELLS // matrix.shape[1])
        for start in range(0, len(matrix), step):
            # A NaN is the maximum of whatever it is among.
            top = matrix[start : start + step].max(axis=1)
            bad = np.flatnonzero(~(top < np.inf))
            if bad.size:
                row = start + int(bad[0])
                position = int(np.flatnonzero(~(matrix[row] < np.inf))[0])
                raise ReportFault(
                    f"{self.place(row, name)}, class {self.header.classes[position]!r}: "
                    f"{matrix[row, position]} is not a score"
                )


def require_columns(schema: pa.Schema, file: str) -> None:
    """Refuse a table without id, label and prediction, or with other than text or whole numbers.

    Raises:
        ReportFault: naming the column.
    """
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise ReportFault(
            f"{file}: has no column {missing[0]!r}; it has {', '.join(schema.names) or 'none'}"
        )
    for name in (*REQUIRED, "base_prediction", "retrieval_prediction"):
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        fine = (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_null(kind)
        )
        if not fine:
            raise ReportFault(
                f"{file}: column {name!r} is of type {kind}; it must hold text or whole numbers"
            )


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _as_text(cells: pa.Array) -> pa.StringArray:
    return cells if pa.types.is_string(cells.type) else cells.cast(pa.string())
