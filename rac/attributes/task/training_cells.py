"""The rows that an attribute is fitted to: which are remembered, and which are predicted.

Letters of shapes: N rows, R training rows, M rows of the memory, J rows that get an
out-of-fold prediction, C values, S answers (the values, and
"not applicable" behind them where that can be the answer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import MISSING, NOT_APPLICABLE, OUTSIDE, CodeArray
from rac.attributes.rows import APPLIES, NOT, UNTOLD, Cells
from rac.attributes.task.memory import each_answer_in_turn
from rac.attributes.task.missingness import cells_to_mask
from rac.attributes.task.sample_size import smallest_sample

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MEMORY_ROWS = 4096
"""The most rows in one attribute's memory; each value's own in turn where there are more."""

PREDICTED_ROWS = 5000
"""The most rows that are predicted; a plain random sample, so that they stand for the rest."""

_PREDICTED_ANYWAY = 2000
_PREDICTED_OF_AN_ANSWER = 24
"""With few answers, fewer predicted rows vouch for nearly as much."""

_EVIDENCE_NUMBERS = 20_000_000


@dataclass(frozen=True)
class TrainingCells:
    """The R rows that one attribute is fitted to; each is one of M, of J, or of both.

    Attributes:
        rows: ascending row numbers of all of them.
        answers: of each; ``OUTSIDE`` where its value is not one of the attribute's.
        memory: which of them make up the memory.
        predicted: which of them get an out-of-fold prediction.
        masks: for other columns, in which rows their cells are masked in these predictions, which
            are given no more of a row than there is in the rows that are to be filled.
        answer_count: S.
        missing: cells of the attribute that are to be answered.
    """

    rows: IntArray
    answers: IntArray
    memory: BoolArray
    predicted: BoolArray
    masks: Mapping[str, BoolArray]
    answer_count: int
    missing: int

    def masked(self, cells: Cells) -> Cells:
        """Give the rows' cells as out-of-fold predictions are given them; ``cells`` of all N."""
        rows = cells.take(self.rows)
        codes = {
            name: np.where(self.masks[name], np.int32(MISSING), one) if name in self.masks else one
            for name, one in rows.codes.items()
        }
        return Cells(rows.vocabularies, codes)


def choose_training_cells(
    cells: Cells, name: str, ok: BoolArray, *, seed: int, sources: int
) -> TrainingCells:
    """Choose the rows that an attribute is fitted to.

    Args:
        cells: of all N rows.
        name: the attribute.
        ok: (N,) whether the row has an image.
        seed: of the samples.
        sources: how many sources of evidence will speak, for each of which room is needed.
    """
    vocabulary, codes = cells.vocabularies[name], cells.codes[name]
    applies = cells.applies(vocabulary.attribute)
    count = len(vocabulary.names)
    by_rule = cells.ruled_out(vocabulary.attribute)
    asked = (codes == MISSING) & ok & ~by_rule
    answers = codes.astype(np.int64)
    answers[(codes == NOT_APPLICABLE) | by_rule] = count
    absent = bool((answers == count).any())
    rows = np.flatnonzero(((answers >= 0) | (codes == OUTSIDE)) & ok)
    here = answers[rows]
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(rows))
    needed = smallest_sample(vocabulary.attribute.target_precision)
    most = max(2 * needed, _EVIDENCE_NUMBERS // (max(1, count + absent) * sources))
    enough = max(_PREDICTED_ANYWAY, _PREDICTED_OF_AN_ANSWER * (count + absent), needed)
    most = min(PREDICTED_ROWS, enough, most)
    fullness = _Fullness.of(cells, name, rows, asked, draw)
    plain = ~by_rule[rows] & (applies[rows] != NOT)
    sample = order[plain[order]][:most]
    stand_in = np.zeros(len(rows), np.bool_)
    if absent:
        masks = fullness.masks(sample, None, seed)
        untold = applies[rows[sample]] == UNTOLD
        for other in vocabulary.attribute.applies_when:
            untold |= masks[other][sample]
        of_value = here[sample] != count
        share = float(untold[of_value].mean()) if of_value.any() else 0.0
        stand_in = _stand_ins(codes, applies, ok, share, draw)[rows]
    predicted = np.zeros(len(rows), np.bool_)
    predicted[order[(plain | stand_in)[order]][:most]] = True
    telling = dict.fromkeys(vocabulary.attribute.applies_when, stand_in)
    masks = fullness.masks(np.flatnonzero(predicted), telling, seed)
    memory = np.zeros(len(rows), np.bool_)
    memory[each_answer_in_turn(here, order, MEMORY_ROWS)] = True
    used = predicted | memory
    return TrainingCells(
        rows=rows[used],
        answers=here[used],
        memory=memory[used],
        predicted=predicted[used],
        masks={other: where[used] for other, where in masks.items()},
        answer_count=count + absent,
        missing=int(asked.sum()),
    )


@dataclass(frozen=True)
class _Fullness:
    """Which other cells are known: in the R rows with an answer, and in rows asked about.

    Attributes:
        names: of the B other columns.
        known: (R, B).
        asked: (Q, B), of a sample.
    """

    names: list[str]
    known: BoolArray
    asked: BoolArray

    @classmethod
    def of(
        cls, cells: Cells, name: str, rows: IntArray, asked: BoolArray, draw: np.random.Generator
    ) -> _Fullness:
        names = [other for other in cells.codes if other != name]
        wanted = np.flatnonzero(asked)
        if len(wanted) > PREDICTED_ROWS:
            wanted = draw.choice(wanted, PREDICTED_ROWS, replace=False)
        known, there = (
            np.stack([cells.codes[other][part] != MISSING for other in names], axis=1)
            if names
            else np.zeros((len(part), 0), np.bool_)
            for part in (rows, wanted)
        )
        return cls(names, known, there)

    def masks(
        self, places: IntArray, besides: Mapping[str, BoolArray] | None, seed: int
    ) -> dict[str, BoolArray]:
        """Give for each column the (R,) rows, of those in ``places``, whose cells are masked.

        Args:
            places: rows that are predicted.
            besides: for some columns the (R,) rows whose cells are masked in any case.
            seed: of the choice.
        """
        known = self.known[places]
        always = np.zeros_like(known)
        for other, where in (besides or {}).items():
            always[:, self.names.index(other)] = where[places]
        masks = np.zeros_like(self.known)
        masks[places] = always | cells_to_mask(known & ~always, self.asked, seed)
        return {other: masks[:, place] for place, other in enumerate(self.names)}


def _stand_ins(
    codes: CodeArray,
    applies: np.ndarray,
    ok: BoolArray,
    untold: float,
    draw: np.random.Generator,
) -> BoolArray:
    """Choose among rows told "not applicable" those predicted with the telling cells masked.

    They stand for rows that nothing tells about, as many as there would be were "not applicable"
    known as often as values are. A cell that says so itself, where nothing else tells, is
    predicted as it is.

    Args:
        codes: (N,) of the attribute.
        applies: (N,) what the other cells tell.
        ok: (N,) whether the row has an image.
        untold: the share of predicted values that nothing tells about.
        draw: the lot.
    """
    written = (codes == NOT_APPLICABLE) & ok
    if written.any():
        told = written & (applies == NOT)
        wanted = untold * written.sum() - (written & ~told).sum()
    else:
        told = (codes == MISSING) & ok & (applies == NOT)
        holding = ((codes >= 0) & ok & (applies == APPLIES)).sum()
        empty = ((codes == MISSING) & ok & (applies == APPLIES)).sum()
        values = ((codes >= 0) & ok).sum()
        # Of all rows with a value, told and untold, those that the share is of; and of the cells
        # that do not apply as many are known to us as are known of those that do.
        wanted = untold * told.sum() * values / max(1, holding)
        wanted *= holding / max(1, holding + empty)
    share = min(1.0, max(0.0, wanted / max(1, told.sum())))
    return np.asarray(told & (draw.random(len(told)) < share))
