"""The rows that an attribute is learnt from: which are remembered, and which are judged.

Letters of shapes: N rows, M rows of the memory, J judged rows, C values, S slots (the values, and
"not applicable" behind them where that can be the answer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rac.attributes.cells import MISSING, NOT_APPLICABLE, OUTSIDE, CodeArray
from rac.attributes.evidence import KINDS, each_slot_in_turn
from rac.attributes.filler import BoolArray, IntArray, ruled_out
from rac.attributes.patterns import hidden_cells
from rac.attributes.rows import APPLIES, NOT, UNTOLD, Cells
from rac.attributes.settings import FillSettings
from rac.attributes.threshold import smallest_sample

MEMORY_ROWS = 4096
"""The most known rows in one attribute's memory; each value's own in turn where there are more."""

JUDGED_ROWS = 5000
"""The most known rows that are judged; a plain random sample, so that they stand for the rest."""

_JUDGED_ANYWAY = 2000
_JUDGED_OF_A_SLOT = 24
"""With few slots, fewer judged rows vouch for nearly as much."""

_EVIDENCE_NUMBERS = 20_000_000


@dataclass(frozen=True)
class Known:
    """The rows that one attribute is learnt from, M + J of them.

    Attributes:
        rows: ascending row numbers of all of them.
        slots: the slot of each; ``OUTSIDE`` where its value is not one of the attribute's.
        memory: which of them make up the memory.
        judged: which of them are judged.
        hidden: for other columns, in which rows their cells are hidden from the judge, who sees no
            more of a row than there is in the rows that are to be filled.
        slot_count: S.
        missing: cells of the attribute that are to be answered.
    """

    rows: IntArray
    slots: IntArray
    memory: BoolArray
    judged: BoolArray
    hidden: Mapping[str, BoolArray]
    slot_count: int
    missing: int

    def seen(self, cells: Cells) -> Cells:
        """Give the rows' cells as the judge sees them."""
        seen = cells.take(self.rows)
        codes = {
            name: np.where(self.hidden[name], np.int32(MISSING), one)
            if name in self.hidden
            else one
            for name, one in seen.codes.items()
        }
        return Cells(seen.vocabularies, codes)


def find_known(cells: Cells, name: str, ok: BoolArray, settings: FillSettings) -> Known:
    """Choose the rows that an attribute is learnt from.

    Args:
        cells: of all N rows.
        name: the attribute.
        ok: (N,) whether the row has an image.
        settings: how.
    """
    seed = settings.seed
    vocabulary, codes = cells.vocabularies[name], cells.codes[name]
    applies = cells.applies(vocabulary.attribute)
    count = len(vocabulary.names)
    by_rule = ruled_out(cells, name)
    asked = (codes == MISSING) & ok & ~by_rule
    slots = codes.astype(np.int64)
    slots[(codes == NOT_APPLICABLE) | by_rule] = count
    absent = bool((slots == count).any())
    rows = np.flatnonzero(((slots >= 0) | (codes == OUTSIDE)) & ok)
    here = slots[rows]
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(rows))
    needed = smallest_sample(vocabulary.attribute.target_precision)
    most = max(2 * needed, _EVIDENCE_NUMBERS // (max(1, count + absent) * len(KINDS)))
    enough = max(_JUDGED_ANYWAY, _JUDGED_OF_A_SLOT * (count + absent), needed)
    most = min(JUDGED_ROWS, enough, most)
    fullness = _Fullness.of(cells, name, rows, asked, draw)
    plain = ~by_rule[rows] & (applies[rows] != NOT)
    sample = order[plain[order]][:most]
    stand_in = np.zeros(len(rows), np.bool_)
    if absent:
        hidden = fullness.hidden(sample, None, seed)
        untold = applies[rows[sample]] == UNTOLD
        for other in vocabulary.attribute.applies_when:
            untold |= hidden[other][sample]
        of_value = here[sample] != count
        share = float(untold[of_value].mean()) if of_value.any() else 0.0
        stand_in = _stand_ins(codes, applies, ok, share, draw)[rows]
    judged = np.zeros(len(rows), np.bool_)
    judged[order[(plain | stand_in)[order]][:most]] = True
    telling = dict.fromkeys(vocabulary.attribute.applies_when, stand_in)
    hidden = fullness.hidden(np.flatnonzero(judged), telling, seed)
    memory = np.zeros(len(rows), np.bool_)
    memory[each_slot_in_turn(here, order, MEMORY_ROWS)] = True
    used = judged | memory
    return Known(
        rows=rows[used],
        slots=here[used],
        memory=memory[used],
        judged=judged[used],
        hidden={other: where[used] for other, where in hidden.items()},
        slot_count=count + absent,
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
        if len(wanted) > JUDGED_ROWS:
            wanted = draw.choice(wanted, JUDGED_ROWS, replace=False)
        known, there = (
            np.stack([cells.codes[other][part] != MISSING for other in names], axis=1)
            if names
            else np.zeros((len(part), 0), np.bool_)
            for part in (rows, wanted)
        )
        return cls(names, known, there)

    def hidden(
        self, places: IntArray, besides: Mapping[str, BoolArray] | None, seed: int
    ) -> dict[str, BoolArray]:
        """Give for each column the (R,) rows, of those in ``places``, whose cells are hidden.

        Args:
            places: rows that are judged.
            besides: for some columns the (R,) rows whose cells are hidden in any case.
            seed: of the choice.
        """
        known = self.known[places]
        always = np.zeros_like(known)
        for other, where in (besides or {}).items():
            always[:, self.names.index(other)] = where[places]
        hidden = np.zeros_like(self.known)
        hidden[places] = always | hidden_cells(known & ~always, self.asked, seed)
        return {other: hidden[:, place] for place, other in enumerate(self.names)}


def _stand_ins(
    codes: CodeArray,
    applies: np.ndarray,
    ok: BoolArray,
    untold: float,
    draw: np.random.Generator,
) -> BoolArray:
    """Choose among rows told "not applicable" those that are judged with the telling cells hidden.

    They stand for rows that nothing tells about, as many as there would be were "not applicable"
    known as often as values are. A cell that says so itself, where nothing else tells, is judged
    as it is.

    Args:
        codes: (N,) of the attribute.
        applies: (N,) what the other cells tell.
        ok: (N,) whether the row has an image.
        untold: the share of judged values that nothing tells about.
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
