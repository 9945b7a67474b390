"""Learning one attribute from its known cells, every one of them judged by what did not see it.

Letters of shapes: N rows, J judged rows, M rows of the memory, P projected dimensions, C values,
S slots (the values, and "not applicable" behind them where that can be the answer), F kinds of
evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rac.attributes.cells import MISSING, NOT_APPLICABLE, OUTSIDE, CodeArray
from rac.attributes.combine import Fusion
from rac.attributes.cooccurrence import Cooccurrence, row_evidence
from rac.attributes.evidence import KINDS, AttributeMemory
from rac.attributes.filler import (
    AttributeFiller,
    BoolArray,
    Doubles,
    IntArray,
    ruled_out,
    slot_scores,
)
from rac.attributes.folds import assign_folds, near_duplicate_groups
from rac.attributes.rows import NOT, Cells
from rac.attributes.threshold import (
    CONFIDENCE,
    Threshold,
    fit_threshold,
    shift_probability,
    smallest_sample,
    unproven,
    value_offsets,
)
from rac.attributes.zero_shot import PROBABILITY_FLOOR, zero_shot_probabilities
from rac.encoders.base import FloatArray

FOLDS = 5
MEMORY_ROWS = 4096
"""The most known rows in one attribute's memory; each value's own in turn where there are more."""

JUDGED_ROWS = 5000
"""The most known rows that are judged; a plain random sample, so that they stand for the rest."""

_COUNTED_ROWS = 200_000
_WEIGHED_ROWS = 2000
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


@dataclass(frozen=True)
class Judged:
    """What models that had not seen them made of known cells.

    Attributes:
        places: (J,) which of the known rows.
        truth: (J,) slots.
        best: (J,) the likeliest slot.
        probability: (J,) of it, corrected by its offset.
        shares: (J, S) probabilities of all slots.
        evidence: (J, S, F) what spoke for each slot.
    """

    places: IntArray
    truth: IntArray
    best: IntArray
    probability: Doubles
    shares: Doubles
    evidence: FloatArray
    raw: Doubles

    @property
    def right(self) -> BoolArray:
        """(J,) whether the likeliest slot is the true one."""
        return np.asarray(self.best == self.truth)


def learn_attribute(
    cells: Cells,
    name: str,
    known: Known,
    features: FloatArray,
    zero_shot: FloatArray,
    *,
    prompts: bool,
    logit_scale: float,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    kinds: Sequence[int] = range(len(KINDS)),
) -> AttributeFiller:
    """Learn one attribute from its known cells, or fall back on prompts alone.

    Every judged cell is judged by a memory, counts and weights that were fitted without it and
    without its near-duplicates. A cell whose value is outside the vocabulary counts as one that
    would be filled wrongly. With fewer known cells than can vouch for the target, or only one
    known answer, the cells cannot tell values apart: prompts stand alone, under a rule that
    nothing vouches for.

    Args:
        cells: of all N rows.
        name: the attribute.
        known: the rows it is learnt from, M + J of them together.
        features: their projected trunk features.
        zero_shot: their (M + J, C) scores from prompts; zeros where there are none.
        prompts: whether ``zero_shot`` comes from prompts.
        logit_scale: of the encoder.
        confidence: in (0, 1), of the promise.
        seed: of the folds.
        kinds: the kinds of evidence to go by.
    """
    vocabulary = cells.vocabularies[name]
    target = vocabulary.attribute.target_precision
    inside = known.slots >= 0
    needed = smallest_sample(target, confidence)
    enough = inside.sum() >= needed and (known.judged & inside).sum() >= 2
    if not enough or len(np.unique(known.slots[inside])) < 2:
        return without_memory(cells, name, known, zero_shot, prompts, logit_scale)
    judged = judge(cells, name, known, features, zero_shot, seed=seed, kinds=kinds)
    count = len(vocabulary.names)
    right = judged.right
    absent = judged.best >= count
    rules = []
    for part in (~absent, absent):
        share = part.sum() / max(1, len(part))
        rules.append(
            fit_threshold(
                judged.probability[part],
                right[part],
                target=target,
                confidence=confidence,
                job=round(known.missing * share),
            )
        )
    floors = [np.inf if rule.above is None else rule.above for rule in rules]
    above = judged.probability > np.where(absent, floors[1], floors[0])
    held = unproven(right, judged.best, above, known.slot_count)
    rules = [
        rule.among(len(right), int((above & part & held[judged.best]).sum()))
        for rule, part in zip(rules, (~absent, absent), strict=True)
    ]
    weighed = _weighed(judged.truth)
    remembered = known.memory & inside
    memory_slots = known.slots[remembered]
    return AttributeFiller(
        vocabulary=vocabulary,
        source="fused",
        threshold=rules[0],
        absence=rules[1],
        logit_scale=logit_scale,
        slots=known.slot_count,
        held_back=held,
        offsets=value_offsets(judged.raw, right, judged.best, known.slot_count),
        memory=AttributeMemory(features[remembered], memory_slots, known.slot_count),
        rows=known.rows[remembered],
        fusion=Fusion.fit(judged.evidence[weighed], judged.truth[weighed], kinds=kinds),
        speaks=_counted(cells, name, known).tables() if 5 in kinds else {},
    )


def judge(
    cells: Cells,
    name: str,
    known: Known,
    features: FloatArray,
    zero_shot: FloatArray,
    *,
    seed: int,
    kinds: Sequence[int] = range(len(KINDS)),
) -> Judged:
    """Judge known cells by what had not seen them; arguments as for :func:`learn_attribute`."""
    vocabulary = cells.vocabularies[name]
    places = np.flatnonzero(known.judged)
    folds = assign_folds(known.slots, near_duplicate_groups(features), FOLDS, seed)
    seen = _as_seen(cells, vocabulary.attribute.applies_when, known)
    everywhere = np.arange(len(places))
    prompts = slot_scores(
        known.slot_count, zero_shot[places], seen, vocabulary.attribute, everywhere
    )
    others = {other: seen.codes[other] for other in seen.codes if other != name}
    counted = _counted(cells, name, known)
    evidence = np.zeros((len(places), known.slot_count, len(KINDS)), np.float32)
    fold_of = folds[places]
    for fold in range(FOLDS):
        learn = known.memory & (known.slots >= 0) & (folds != fold)
        asked = fold_of == fold
        if not asked.any() or not learn.any():
            continue
        memory = AttributeMemory(features[learn], known.slots[learn], known.slot_count)
        part = known.rows[(folds == fold) & (known.slots >= 0)]
        rest = counted.without(_count(cells, name, part, known)).tables()
        here = {other: codes[asked] for other, codes in others.items()}
        evidence[asked] = memory.evidence(
            features[places[asked]], prompts[asked], row_evidence(rest, here, prompts[asked].shape)
        ).scores
    truth = known.slots[places]
    reachable = truth >= 0
    # A slot that the row's other cells rule out cannot be reached, whatever the evidence.
    reachable[reachable] = np.isfinite(prompts[reachable, truth[reachable]])
    truth = np.where(reachable, truth, OUTSIDE)
    shares = np.zeros(prompts.shape)
    weighed = _weighed(truth)
    start = Fusion.fit(evidence[weighed], truth[weighed], kinds=kinds)
    for fold in range(FOLDS):
        learn, asked = _weighed(np.where(fold_of != fold, truth, OUTSIDE)), fold_of == fold
        fusion = start
        if len(learn):
            fusion = Fusion.fit(evidence[learn], truth[learn], start=start, kinds=kinds)
        shares[asked] = fusion.probabilities(evidence[asked])
    best = shares.argmax(axis=1)
    raw = shares.max(axis=1)
    right = best == truth
    probability = raw.copy()
    for fold in range(FOLDS):
        learn, asked = fold_of != fold, fold_of == fold
        offsets = value_offsets(raw[learn], right[learn], best[learn], known.slot_count)
        probability[asked] = shift_probability(raw[asked], offsets[best[asked]])
    return Judged(places, truth, best, probability, shares, evidence, raw)


def without_memory(
    cells: Cells,
    name: str,
    known: Known,
    zero_shot: FloatArray,
    prompts: bool,
    logit_scale: float,
) -> AttributeFiller:
    """Fill by prompts alone: only above a floor, and not if what is known speaks against it."""
    vocabulary = cells.vocabularies[name]
    target = vocabulary.attribute.target_precision
    count = len(vocabulary.names)
    floor = max(target, PROBABILITY_FLOOR)
    hits = sure_cells = 0
    reason = "unverified: too few known cells to check the prompts' answers against"
    above: float | None = floor
    with_value = (known.slots < count) & known.judged
    if count < 2:
        above = None
        reason = (
            "the only value known leaves nothing to choose from; list the values in the schema"
            if count
            else "no values are known: list them in the schema"
        )
    elif not prompts:
        above, reason = None, "too few known cells, and no encoder to read prompts with"
    elif with_value.any():
        seen = cells.take(known.rows)
        places = np.flatnonzero(with_value)
        scores = slot_scores(count, zero_shot[places], seen, vocabulary.attribute, places)
        shares = zero_shot_probabilities(scores, logit_scale)
        sure = shares.max(axis=1) > floor
        sure_cells = int(sure.sum())
        hits = int((shares.argmax(axis=1)[sure] == known.slots[places][sure]).sum())
        if sure_cells and hits < target * sure_cells:
            above = None
            reason = (
                f"too few known cells to learn from, and prompts alone are right for only {hits} "
                f"of the {sure_cells} that they are sure of"
            )
    judged = int(with_value.sum())
    return AttributeFiller(
        vocabulary=vocabulary,
        source="zero-shot",
        threshold=Threshold(
            above, target, known=judged, cells=sure_cells, right=hits, reason=reason
        ),
        absence=Threshold(None, target, reason="too few known cells to tell"),
        logit_scale=logit_scale,
        slots=count,
        held_back=np.zeros(count, np.bool_),
        offsets=np.zeros(count),
    )


def _as_seen(cells: Cells, telling: object, known: Known) -> Cells:
    """Give the judged rows' cells, with the telling ones of the stand-ins hidden."""
    seen = cells.take(known.rows[known.judged])
    hidden = known.stand_in[known.judged]
    if not hidden.any():
        return seen
    names = set(telling) if isinstance(telling, dict) else set()
    codes = {
        name: np.where(hidden, np.int32(MISSING), one) if name in names else one
        for name, one in seen.codes.items()
    }
    return Cells(seen.vocabularies, codes)


def _counted(cells: Cells, name: str, known: Known) -> Cooccurrence:
    """Count what goes together over all rows, or over a stretch of them in a large table."""
    codes = cells.codes[name][:_COUNTED_ROWS]
    rows = np.flatnonzero((codes >= 0) | (codes == NOT_APPLICABLE) | _ruled_head(cells, name))
    return _count(cells, name, np.union1d(rows, known.rows[known.slots >= 0]), known)


def _ruled_head(cells: Cells, name: str) -> BoolArray:
    return ruled_out(cells.take(slice(0, _COUNTED_ROWS)), name)


def _count(cells: Cells, name: str, rows: IntArray, known: Known) -> Cooccurrence:
    part = cells.take(rows)
    slots = part.codes[name].astype(np.int64)
    slots[slots < 0] = known.slot_count - 1
    others = {other: codes for other, codes in part.codes.items() if other != name}
    sizes = {other: len(cells.vocabularies[other].names) for other in others}
    return Cooccurrence.count(slots, others, sizes, known.slot_count)


def _weighed(truth: IntArray) -> IntArray:
    """Give the places that the weights are fitted on: those with a slot, evenly thinned."""
    places = np.flatnonzero(truth >= 0)
    if len(places) <= _WEIGHED_ROWS:
        return places
    return places[np.linspace(0, len(places) - 1, _WEIGHED_ROWS).astype(np.int64)]
