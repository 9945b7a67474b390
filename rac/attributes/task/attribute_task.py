"""One attribute's task: all that its answers are fitted to, in one place.

Letters of shapes: N rows of the table, R training rows, E of them whose answer is one of the
attribute's, M of these in the memory, P projected dimensions, C values, S answers (the values, and
"not applicable" behind them where that can be the answer), V values of the other columns together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rac.attributes.cells import NOT_APPLICABLE, Vocabulary
from rac.attributes.rows import Cells
from rac.attributes.task.class_statistics import ClassStatistics
from rac.attributes.task.cooccurrence import Columns, Cooccurrence
from rac.attributes.task.folds import FOLDS, assign_folds
from rac.attributes.task.memory import AttributeMemory
from rac.attributes.task.queries import AskedRows
from rac.attributes.task.training_cells import TrainingCells
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]

_COUNTED_ROWS = 200_000


@dataclass(frozen=True)
class AttributeTask:
    """What one attribute is fitted to; it is only read, and what is computed of it is kept.

    Attributes:
        name: of the attribute.
        cells: of all N rows.
        training: the R rows it is fitted to, and their answers.
        masked: these rows' cells, as poorly known as those of the rows asked about.
        features: (R, P) their projected trunk features.
        prompts: (R, C) their scores from prompts; zeros where there are none.
        logit_scale: of the encoder that read the prompts; None where there are none.
        groups: (R,) groups of near-duplicates, which are never parted.
        seed: of the folds.
    """

    name: str
    cells: Cells
    training: TrainingCells
    masked: Cells
    features: FloatArray
    prompts: FloatArray
    logit_scale: float | None
    groups: IntArray
    seed: int

    @property
    def vocabulary(self) -> Vocabulary:
        """The attribute's C values."""
        return self.cells.vocabularies[self.name]

    @cached_property
    def fold_of(self) -> IntArray:
        """(R,) number of each training row's fold."""
        return assign_folds(self.training.answers, self.groups, FOLDS, self.seed)

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The folds that training rows are dealt into."""
        return tuple(Fold(self, number) for number in range(FOLDS))

    @cached_property
    def answered(self) -> IntArray:
        """(E,) places of the training rows whose answer is one of the attribute's."""
        return np.flatnonzero(self.training.answers >= 0)

    @cached_property
    def remembered(self) -> IntArray:
        """(M,) places of the training rows that make up the memory."""
        return np.flatnonzero(self.training.memory & (self.training.answers >= 0))

    @cached_property
    def memory(self) -> AttributeMemory:
        """The M rows in the attribute's own metric."""
        return AttributeMemory(*self.memory_rows, self.training.answer_count)

    @cached_property
    def memory_rows(self) -> tuple[FloatArray, IntArray]:
        """Features (M, P) and answers (M,) of the rows of the memory."""
        return self.features[self.remembered], self.training.answers[self.remembered]

    @cached_property
    def statistics(self) -> tuple[ClassStatistics, ...]:
        """What is summed up of the memory's rows, fold by fold."""
        features, answers = self.memory_rows
        fold_of = self.fold_of[self.remembered]
        places = [np.flatnonzero(fold_of == fold) for fold in range(FOLDS)]
        return tuple(
            ClassStatistics.of(features[here], answers[here], self.training.answer_count)
            for here in places
        )

    @cached_property
    def all_statistics(self) -> ClassStatistics:
        """What is summed up of the rows of all folds."""
        return reduce(ClassStatistics.plus, self.statistics)

    @cached_property
    def cooccurrence(self) -> Cooccurrence:
        """What goes together, over all rows of the table, or a stretch of them in a large one."""
        answer_count, name = self.training.answer_count, self.name
        head = self.cells.take(slice(0, _COUNTED_ROWS))
        codes = head.codes[name]
        counted = np.zeros(len(self.cells.codes[name]), np.bool_)
        counted[:_COUNTED_ROWS] = (
            (codes >= 0) | (codes == NOT_APPLICABLE) | head.ruled_out(self.vocabulary.attribute)
        )
        counted[self.training.rows[self.answered]] = True
        part = self.cells.take(np.flatnonzero(counted))
        answers = part.codes[name].astype(np.int64)
        answers[answers < 0] = answer_count - 1
        others = {other: codes for other, codes in part.codes.items() if other != name}
        sizes = {other: len(self.cells.vocabularies[other].names) for other in others}
        columns = Columns.of(sizes, answer_count)
        return Cooccurrence.count(answers, others, columns, answer_count)

    @cached_property
    def answered_members(self) -> csr_array:
        """(E, V) which values of the other columns the answered rows have.

        Once for all folds: of fifty attributes, looking at each column for each fold took a tenth.
        """
        columns, rows = self.cooccurrence.columns, self.training.rows[self.answered]
        return columns.members(
            {other: self.cells.codes[other][rows] for other in columns.names}, len(rows)
        )

    def asked_rows(self, places: IntArray, columns: Columns) -> AskedRows:
        """Give some training rows as rows that are asked about.

        Args:
            places: (Q,) which of the R.
            columns: whose cells are looked at.
        """
        return AskedRows.of(
            self.features[places],
            self.prompts[places],
            self.masked,
            places,
            self.vocabulary.attribute,
            self.training.answer_count,
            columns,
        )


@dataclass(frozen=True)
class Fold:
    """A task without the training rows of one fold.

    Attributes:
        task: the whole.
        number: of the fold that is left out.
    """

    task: AttributeTask
    number: int

    @property
    def rest(self) -> IntArray:
        """Places of the training rows outside the fold."""
        return np.flatnonzero(self.task.fold_of != self.number)

    @property
    def remembered(self) -> IntArray:
        """Places, among the memory's rows, of those outside the fold."""
        return np.flatnonzero(self.task.fold_of[self.task.remembered] != self.number)

    @cached_property
    def memory(self) -> AttributeMemory:
        """The memory without the fold, which has to leave a row."""
        return AttributeMemory(
            *self.task.memory_rows,
            self.task.training.answer_count,
            kept=self.remembered,
            statistics=self.task.all_statistics.without(self.task.statistics[self.number]),
        )

    @property
    def cooccurrence(self) -> Cooccurrence:
        """What goes together when the fold's rows are taken out."""
        whole, answered = self.task.cooccurrence, self.task.answered
        inside = np.flatnonzero(self.task.fold_of[answered] == self.number)
        taken = Cooccurrence.among(
            self.task.training.answers[answered[inside]],
            self.task.answered_members[inside],
            whole.columns,
            self.task.training.answer_count,
        )
        return whole.without(taken)
