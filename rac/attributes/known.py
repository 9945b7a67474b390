"""The rows that an attribute is learnt from: which are remembered, and which are judged.

Letters of shapes: N rows, M rows of the memory, J judged rows, C values, S slots (the values, and
"not applicable" behind them where that can be the answer).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rac.attributes.cells import MISSING, NOT_APPLICABLE, OUTSIDE, CodeArray
from rac.attributes.evidence import KINDS
from rac.attributes.filler import BoolArray, IntArray, ruled_out
from rac.attributes.rows import NOT, Cells
from rac.attributes.threshold import smallest_sample

MEMORY_ROWS = 4096
"""The most known rows in one attribute's memory; each value's own in turn where there are more."""

JUDGED_ROWS = 5000
"""The most known rows that are judged; a plain random sample, so that they stand for the rest."""

_EVIDENCE_NUMBERS = 20_000_000


@dataclass(frozen=True)
class Known:
    """The rows that one attribute is learnt from.

    Attributes:
        rows: ascending row numbers of all of them.
        slots: the slot of each; ``OUTSIDE`` where its value is not one of the attribute's.
        memory: which of them make up the memory.
        judged: which of them are judged.
        stand_in: which of the judged stand for rows whose telling cells are missing: there a
            known cell says "not applicable", and it is hidden while they are judged.
        slot_count: S.
        missing: cells of the attribute that are to be answered.
    """

    rows: IntArray
    slots: IntArray
    memory: BoolArray
    judged: BoolArray
    stand_in: BoolArray
    slot_count: int
    missing: int


def find_known(cells: Cells, name: str, ok: BoolArray, seed: int) -> Known:
    """Choose the rows that an attribute is learnt from.

    Args:
        cells: of all N rows.
        name: the attribute.
        ok: (N,) whether the row has an image.
        seed: of the samples.
    """
    vocabulary, codes = cells.vocabularies[name], cells.codes[name]
    applies = cells.applies(vocabulary.attribute)
    count = len(vocabulary.names)
    by_rule = ruled_out(cells, name)
    slots = codes.astype(np.int64)
    slots[(codes == NOT_APPLICABLE) | by_rule] = count
    absent = bool((slots == count).any())
    rows = np.flatnonzero(((slots >= 0) | (codes == OUTSIDE)) & ok)
    here = slots[rows]
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(rows))
    told = by_rule[rows]
    may_be_judged = ~told & (applies[rows] != NOT)
    stand_in = _stand_ins(codes, applies, ok, told, draw)
    judged_from = order[(may_be_judged | stand_in)[order]]
    needed = smallest_sample(vocabulary.attribute.target_precision)
    most = max(2 * needed, _EVIDENCE_NUMBERS // (max(1, count + absent) * len(KINDS)))
    judged = np.zeros(len(rows), np.bool_)
    judged[judged_from[: min(JUDGED_ROWS, most)]] = True
    memory = np.zeros(len(rows), np.bool_)
    memory[_each_value_in_turn(here, order, MEMORY_ROWS)] = True
    used = judged | memory
    asked = (codes == MISSING) & ok & ~by_rule
    return Known(
        rows=rows[used],
        slots=here[used],
        memory=memory[used],
        judged=judged[used],
        stand_in=(stand_in & judged)[used],
        slot_count=count + absent,
        missing=int(asked.sum()),
    )


def _stand_ins(
    codes: CodeArray,
    applies: np.ndarray,
    ok: BoolArray,
    told: BoolArray,
    draw: np.random.Generator,
) -> BoolArray:
    """Choose among the rows told "not applicable" by rule those that are judged with it hidden.

    Cells that say "not applicable" themselves, in rows whose telling cells are missing, are judged
    as they are and need no stand-ins. Where nobody writes such words, rows that the rule tells
    stand for them, as many as there would be were they written as often as values are.
    """
    if ((codes == NOT_APPLICABLE) & ok).any() or not told.any():
        return np.zeros(len(told), np.bool_)
    holding = (codes >= 0) & ok
    told_yes, untold = (holding & (applies == 1)).sum(), (holding & (applies == -1)).sum()
    empty_yes = ((codes == MISSING) & ok & (applies == 1)).sum()
    written = told_yes / max(1, told_yes + empty_yes)
    share = min(1.0, written * untold / max(1, told_yes))
    return np.asarray(told & (draw.random(len(told)) < share))


def _each_value_in_turn(slots: IntArray, order: IntArray, most: int) -> IntArray:
    """Take up to ``most`` places: first one of each slot, then a second, and so on."""
    inside = order[slots[order] >= 0]
    if len(inside) <= most:
        return inside
    grouped = np.argsort(slots[inside], kind="stable")
    sizes = np.bincount(slots[inside])
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = np.empty(len(inside), np.int64)
    turn[grouped] = np.arange(len(inside)) - first
    return inside[np.argsort(turn, kind="stable")[:most]]
