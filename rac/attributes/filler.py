"""The fitted filler: what it has learnt of each attribute, and what it answers for a cell.

Letters of shapes: N rows, Q queries, D embedding, T trunk and P projected dimensions, C values of
one attribute, S slots (the values, and "not applicable" behind them where that can be the answer),
A alternatives kept, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import Attribute
from rac.attributes.cells import MISSING, Vocabulary
from rac.attributes.combine import Fusion
from rac.attributes.cooccurrence import Spoken
from rac.attributes.evidence import KINDS, NEIGHBOURS, AttributeMemory
from rac.attributes.projection import Projection
from rac.attributes.rows import APPLIES, NOT, Cells
from rac.attributes.threshold import Threshold, shift_probability
from rac.attributes.zero_shot import PromptBank, zero_shot_probabilities
from rac.encoders.base import FloatArray
from rac.workers import single_threads

Source = Literal["fused", "zero-shot"]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

ALTERNATIVES = 3
_EVIDENCE_NUMBERS = 8_000_000


class Answer(IntEnum):
    """What is said of a missing cell."""

    VALUE = 0
    NOT_APPLICABLE = 1
    CANNOT_TELL = 2


class Why(IntEnum):
    """Why a cell cannot be told, or what an answer rests on besides its probability."""

    SURE = 0
    BY_RULE = 1
    BELOW = 2
    HELD_BACK = 3
    NOTHING_VOUCHED = 4


@dataclass(frozen=True)
class Choice:
    """What the filler makes of Q cells of one attribute.

    Attributes:
        answer: (Q,) of :class:`Answer`.
        why: (Q,) of :class:`Why`.
        best: (Q, A) slots of the best answers, best first; -1 where there are fewer.
        probability: (Q, A) of these; 0 where there are fewer.
        neighbours: (Q, K) row numbers of the nearest known rows; -1 where there are fewer.
    """

    answer: npt.NDArray[np.int8]
    why: npt.NDArray[np.int8]
    best: IntArray
    probability: Doubles
    neighbours: IntArray

    @property
    def filled(self) -> BoolArray:
        """(Q,) whether the best value is to be written."""
        return np.asarray(self.answer == Answer.VALUE)


@dataclass(frozen=True)
class AttributeFiller:
    """What was learnt of one attribute.

    Attributes:
        vocabulary: its C values.
        source: ``fused`` where known cells back it, ``zero-shot`` where prompts stand alone.
        threshold: from which probability on a value is written, with the evidence for it.
        absence: the same for the answer "not applicable".
        logit_scale: of the encoder; used by the zero-shot rule.
        slots: S.
        held_back: (S,) answers that are never given, not having proved right.
        offsets: (S,) corrections of the best answer's log odds.
        memory: the known rows; None for zero-shot.
        rows: (M,) row numbers of the memory in the table.
        fusion: the weights of the evidence; None for zero-shot.
        speaks: what the values of other columns say; None for zero-shot.
    """

    vocabulary: Vocabulary
    source: Source
    threshold: Threshold
    absence: Threshold
    logit_scale: float
    slots: int
    held_back: BoolArray
    offsets: Doubles
    memory: AttributeMemory | None = None
    rows: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    fusion: Fusion | None = None
    speaks: Spoken | None = None

    @property
    def attribute(self) -> Attribute:
        """Whose filler this is."""
        return self.vocabulary.attribute

    @property
    def held_back_names(self) -> list[str]:
        """The values that are never filled, if known cells speak at all."""
        return [name for code, name in enumerate(self.vocabulary.names) if self.held_back[code]]

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each kind of evidence; empty for zero-shot."""
        if self.fusion is None:
            return {}
        return dict(zip(KINDS, self.fusion.weights.tolist(), strict=True))

    def slot_name(self, slot: int) -> str | None:
        """Give the value of a slot, or the word for "not applicable"."""
        if slot < 0:
            return None
        if slot < len(self.vocabulary.names):
            return self.vocabulary.names[slot]
        return self.attribute.not_applicable_words[0]

    def probabilities(
        self, features: FloatArray, zero_shot: FloatArray, cells: Cells, rows: IntArray
    ) -> tuple[Doubles, IntArray]:
        """Give the (Q, S) probabilities of rows, and the (Q, K) rows in the table nearest to them.

        Args:
            features: (Q, P) projected trunk features.
            zero_shot: (Q, C) scores from prompts.
            cells: of N rows.
            rows: (Q,) which of the N are asked for.
        """
        prompts = slot_scores(self.slots, zero_shot, cells, self.attribute, rows)
        neighbours = np.full((len(features), NEIGHBOURS), -1, np.int64)
        if self.memory is None or self.fusion is None or self.speaks is None:
            return zero_shot_probabilities(prompts, self.logit_scale), neighbours
        others = {name: cells.codes[name][rows] for name in self.speaks.columns.names}
        row_cells = self.speaks.evidence(others, len(rows))
        probabilities = np.empty(prompts.shape)
        # Many values make wide arrays; a few rows at a time then.
        step = max(1, _EVIDENCE_NUMBERS // max(1, self.slots * len(KINDS)))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            evidence = self.memory.evidence(features[part], prompts[part], row_cells[part])
            probabilities[part] = self.fusion.probabilities(evidence.scores)
            found = evidence.neighbours
            neighbours[part] = np.where(found >= 0, self.rows[found.clip(min=0)], -1)
        return probabilities, neighbours

    def choose(
        self, features: FloatArray, zero_shot: FloatArray, cells: Cells, rows: IntArray
    ) -> Choice:
        """Answer for each of Q cells; arguments as for :meth:`probabilities`."""
        count = len(self.vocabulary.names)
        if not count:
            return Choice(
                answer=np.full(len(rows), Answer.CANNOT_TELL, np.int8),
                why=np.full(len(rows), Why.NOTHING_VOUCHED, np.int8),
                best=np.full((len(rows), ALTERNATIVES), -1, np.int64),
                probability=np.zeros((len(rows), ALTERNATIVES)),
                neighbours=np.full((len(rows), NEIGHBOURS), -1, np.int64),
            )
        probabilities, neighbours = self.probabilities(features, zero_shot, cells, rows)
        best, probability = best_slots(probabilities, self.offsets)
        absent = best[:, 0] >= count
        applies = cells.applies(self.attribute)[rows]
        above = np.where(absent, _floor(self.absence), _floor(self.threshold))
        why = np.where(
            np.isinf(above),
            Why.NOTHING_VOUCHED,
            np.where(
                probability[:, 0] <= above,
                Why.BELOW,
                np.where(self.held_back[best[:, 0]], Why.HELD_BACK, Why.SURE),
            ),
        )
        if self.source == "zero-shot":
            # Prompts do not say whether the attribute makes sense at all.
            why[applies != APPLIES] = Why.NOTHING_VOUCHED
        answer = np.where(
            why != Why.SURE,
            Answer.CANNOT_TELL,
            np.where(absent, Answer.NOT_APPLICABLE, Answer.VALUE),
        )
        return Choice(answer.astype(np.int8), why.astype(np.int8), best, probability, neighbours)

    def reason(self, why: Why, slot: int) -> str | None:
        """Say in words why a cell with that best answer was answered so; None where plain."""
        if why == Why.SURE:
            return None
        if why == Why.BY_RULE:
            return "another cell of the row says that the attribute does not apply"
        rule = self.absence if slot >= len(self.vocabulary.names) else self.threshold
        if why == Why.BELOW:
            return "the probability is not above the threshold"
        if why == Why.HELD_BACK:
            return (
                f"{self.slot_name(slot)!r} is held back: among known cells that were as sure, it "
                "has not proved right often enough"
            )
        return rule.reason or "nothing tells whether the attribute applies to this row"


@dataclass(frozen=True)
class Filler:
    """All attributes of a schema, fitted to one catalogue.

    Attributes:
        projection: shared by all attributes.
        bank: the prompts; None without an encoder.
        centre: (D,) mean embedding of the job's images.
        attributes: by name.
    """

    projection: Projection
    bank: PromptBank | None
    centre: FloatArray
    attributes: Mapping[str, AttributeFiller]

    def zero_shot(
        self, name: str, embedding: FloatArray, cells: Cells, rows: IntArray
    ) -> FloatArray:
        """Score (Q, D) embeddings of some rows against one attribute's values; (Q, C)."""
        return score_prompts(self.bank, name, embedding, self.centre, cells, rows)

    def choose(
        self,
        embedding: FloatArray,
        trunk: FloatArray,
        cells: Cells,
        asked: Mapping[str, BoolArray],
        *,
        workers: int | None = 1,
    ) -> dict[str, Choice]:
        """Answer for the cells asked for.

        Args:
            embedding: (N, D) unit norm.
            trunk: (N, T).
            cells: of the same N rows.
            asked: for each attribute, (N,) which rows' cells to answer for; Q of them are True.
            workers: attributes answered for side by side; one for each processor if None.
        """
        features = self.projection.apply(trunk)

        def answer(name: str) -> Choice:
            rows = np.flatnonzero(asked[name])
            scores = self.zero_shot(name, embedding[rows], cells, rows)
            return self.attributes[name].choose(features[rows], scores, cells, rows)

        if workers == 1:
            return {name: answer(name) for name in asked}
        with single_threads(workers) as pool:
            return dict(zip(asked, pool.map(answer, asked), strict=True))


def score_prompts(
    bank: PromptBank | None,
    name: str,
    embedding: FloatArray,
    centre: FloatArray,
    cells: Cells,
    rows: IntArray,
) -> FloatArray:
    """Give one attribute's (Q, C) prompt scores; zeros without prompts."""
    if bank is None:
        return np.zeros((len(rows), len(cells.vocabularies[name].names)), np.float32)
    return bank.scores(name, embedding, centre, cells, rows)


def slot_scores(
    slots: int, zero_shot: FloatArray, cells: Cells, attribute: Attribute, rows: IntArray
) -> FloatArray:
    """Give the (Q, S) prompt scores, ``-inf`` where a row's other cells rule a slot out.

    Args:
        slots: S.
        zero_shot: (Q, C) scores of the values.
        cells: of N rows.
        attribute: whose slots they are.
        rows: (Q,) which of the N.
    """
    count = zero_shot.shape[1]
    scores = np.zeros((len(rows), slots), np.float32)
    scores[:, :count] = zero_shot
    possible = cells.candidates(attribute).of(rows)
    if possible is not None:
        # Where nothing would be left, the candidates say nothing.
        possible = possible | ~possible.any(axis=1, keepdims=True)
        scores[:, :count] = np.where(possible, scores[:, :count], -np.inf)
    if slots > count and attribute.applies_when:
        scores[cells.applies(attribute)[rows] == APPLIES, count] = -np.inf
    return scores


def ruled_out(cells: Cells, name: str) -> BoolArray:
    """Say for N rows whether the cell is empty and another cell says that it does not apply."""
    attribute = cells.vocabularies[name].attribute
    return np.asarray((cells.codes[name] == MISSING) & (cells.applies(attribute) == NOT))


def best_slots(probabilities: Doubles, offsets: Doubles) -> tuple[IntArray, Doubles]:
    """Give the (Q, A) best slots of (Q, S) probabilities with theirs, the first one corrected."""
    kept = min(ALTERNATIVES, probabilities.shape[1])
    best = np.full((len(probabilities), ALTERNATIVES), -1, np.int64)
    probability = np.zeros((len(probabilities), ALTERNATIVES))
    rows = np.arange(len(probabilities))
    left = probabilities.copy()
    for place in range(kept):
        # argmax gives ties to the slot that comes first.
        best[:, place] = left.argmax(axis=1)
        probability[:, place] = left[rows, best[:, place]]
        left[rows, best[:, place]] = -1.0
    first = shift_probability(probability[:, 0], offsets[best[:, 0]])
    rest = 1 - probability[:, :1]
    share = np.divide(1 - first[:, None], rest, out=np.zeros_like(rest), where=rest > 1e-12)
    probability[:, 1:] *= share
    probability[:, 0] = first
    return best, probability


def _floor(threshold: Threshold) -> float:
    return np.inf if threshold.above is None else threshold.above
