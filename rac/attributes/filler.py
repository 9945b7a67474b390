"""The fitted filler: what it has learnt of each attribute, and what it chooses for a cell.

Letters of shapes: N rows, M known rows, Q queries, D embedding, T trunk and P projected dimensions,
C values of one attribute, A alternatives kept, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import OUTSIDE, CodeArray, Vocabulary
from rac.attributes.combine import Fusion
from rac.attributes.evidence import KINDS, NEIGHBOURS, AttributeMemory
from rac.attributes.folds import assign_folds, near_duplicate_groups
from rac.attributes.projection import Projection
from rac.attributes.threshold import (
    CONFIDENCE,
    Threshold,
    fit_threshold,
    mostly_wrong,
    shift_probability,
    smallest_sample,
    value_offsets,
)
from rac.attributes.zero_shot import PROBABILITY_FLOOR, PromptBank, zero_shot_probabilities
from rac.encoders.base import FloatArray

Source = Literal["fused", "zero-shot"]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

ALTERNATIVES = 3
FOLDS = 5
KNOWN_ROWS = 10_000
"""The most known rows that one attribute learns from; a seeded sample where there are more."""

_EVIDENCE_NUMBERS = 10_000_000


@dataclass(frozen=True)
class Choice:
    """What the filler makes of Q cells of one attribute.

    Attributes:
        filled: (Q,) whether the best value may be written.
        best: (Q, A) codes of the best values, best first; -1 where there are fewer.
        probability: (Q, A) of these; 0 where there are fewer.
        neighbours: (Q, K) row numbers of the nearest known rows; -1 where there are fewer.
        reasons: Q reasons; None where filled.
    """

    filled: BoolArray
    best: IntArray
    probability: Doubles
    neighbours: IntArray
    reasons: list[str | None]


@dataclass(frozen=True)
class AttributeFiller:
    """What was learnt of one attribute.

    Attributes:
        vocabulary: its C values.
        source: ``fused`` where known cells back it, ``zero-shot`` where prompts stand alone.
        threshold: from which probability on a cell is filled, with the evidence for it.
        logit_scale: of the encoder; used by the zero-shot rule.
        held_back: (C,) values that are never filled, having been mostly wrong.
        offsets: (C,) corrections of the best value's log odds.
        memory: the known rows; None for zero-shot.
        rows: (M,) row numbers of the memory in the table.
        fusion: the weights of the evidence; None for zero-shot.
    """

    vocabulary: Vocabulary
    source: Source
    threshold: Threshold
    logit_scale: float
    held_back: BoolArray
    offsets: Doubles
    memory: AttributeMemory | None = None
    rows: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    fusion: Fusion | None = None

    @property
    def held_back_names(self) -> list[str]:
        """The values that are never filled."""
        return [self.vocabulary.names[code] for code in np.flatnonzero(self.held_back)]

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each kind of evidence; empty for zero-shot."""
        if self.fusion is None:
            return {}
        return dict(zip(KINDS, self.fusion.weights.tolist(), strict=True))

    def choose(self, features: FloatArray, zero_shot: FloatArray) -> Choice:
        """Choose a value for each of Q cells, or abstain.

        Args:
            features: (Q, P) projected trunk features.
            zero_shot: (Q, C) scores from prompts.
        """
        neighbours = np.full((len(features), NEIGHBOURS), -1, np.int64)
        if not self.vocabulary.names:
            nothing = np.zeros((len(features), ALTERNATIVES))
            return Choice(
                filled=np.zeros(len(features), np.bool_),
                best=np.full((len(features), ALTERNATIVES), -1, np.int64),
                probability=nothing,
                neighbours=neighbours,
                reasons=[self.threshold.reason] * len(features),
            )
        if self.memory is not None and self.fusion is not None:
            evidence = self.memory.evidence(features, zero_shot)
            probabilities = self.fusion.probabilities(evidence.scores)
            found = evidence.neighbours
            neighbours = np.where(found >= 0, self.rows[found.clip(min=0)], -1)
        else:
            probabilities = zero_shot_probabilities(zero_shot, self.logit_scale)
        best, probability = _best(probabilities, self.offsets)
        above, held = self.threshold.above, self.held_back[best[:, 0]]
        filled = (
            np.zeros(len(best), np.bool_) if above is None else (probability[:, 0] > above) & ~held
        )
        reasons = [
            None if filled[cell] else self._reason(int(best[cell, 0]), float(probability[cell, 0]))
            for cell in range(len(best))
        ]
        return Choice(filled, best, probability, neighbours, reasons)

    def _reason(self, code: int, probability: float) -> str:
        if self.threshold.above is None:
            return self.threshold.reason or "nothing may be filled"
        if probability <= self.threshold.above:
            return f"probability {probability:.3f} is not above {self.threshold.above:.3f}"
        return (
            f"value {self.vocabulary.names[code]!r} is held back: where it was as likely, it was "
            "wrong at least as often as right on known cells"
        )


def fit_attribute(
    vocabulary: Vocabulary,
    rows: IntArray,
    codes: CodeArray,
    features: FloatArray,
    zero_shot: FloatArray,
    *,
    prompts: bool,
    logit_scale: float,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> AttributeFiller:
    """Learn one attribute from its known cells, or fall back on prompts alone.

    Every known cell is judged by a memory and weights that were fitted without it and without its
    near-duplicates. A cell whose value is outside the vocabulary counts as one that would be
    filled wrongly. With fewer known cells than can vouch for the target, or only one known value,
    the cells cannot tell values apart: prompts stand alone, under a rule that nothing vouches for.

    Args:
        vocabulary: C values.
        rows: (M,) row numbers of the known cells.
        codes: (M,) their codes, each in [0, C) or ``OUTSIDE``.
        features: (M, P) projected trunk features.
        zero_shot: (M, C) scores from prompts; zeros where there are none.
        prompts: whether ``zero_shot`` comes from prompts.
        logit_scale: of the encoder.
        confidence: in (0, 1), of the promise.
        seed: of the folds and of the sample of known rows.
    """
    target = vocabulary.attribute.target_precision
    inside = codes >= 0
    needed = smallest_sample(target, confidence)
    if inside.sum() < needed or len(np.unique(codes[inside])) < 2:
        return _without_memory(vocabulary, codes, zero_shot, prompts, logit_scale)
    keep = _sample(len(codes), KNOWN_ROWS, seed)
    rows, codes, features, zero_shot = rows[keep], codes[keep], features[keep], zero_shot[keep]
    inside = codes >= 0
    count = len(vocabulary.names)
    wide = codes.astype(np.int64)
    groups = near_duplicate_groups(features)
    folds = assign_folds(wide, groups, FOLDS, seed)
    judged = _sample(len(codes), max(needed, _EVIDENCE_NUMBERS // (count * len(KINDS))), seed)

    scores = np.empty((len(judged), count, len(KINDS)), np.float32)
    for fold in range(FOLDS):
        learn = inside & (folds != fold)
        asked = folds[judged] == fold
        if asked.any() and learn.any():
            memory = AttributeMemory(features[learn], wide[learn], count)
            asked_rows = judged[asked]
            scores[asked] = memory.evidence(features[asked_rows], zero_shot[asked_rows]).scores
        else:
            scores[asked] = 0.0

    truth, fold_of = wide[judged], folds[judged]
    best, raw = np.zeros(len(judged), np.int64), np.zeros(len(judged))
    for fold in range(FOLDS):
        learn, asked = (fold_of != fold) & (truth >= 0), fold_of == fold
        shares = Fusion.fit(scores[learn], truth[learn]).probabilities(scores[asked])
        best[asked], raw[asked] = shares.argmax(axis=1), shares.max(axis=1)
    right = best == truth
    probability = raw.copy()
    for fold in range(FOLDS):
        learn, asked = fold_of != fold, fold_of == fold
        offsets = value_offsets(raw[learn], right[learn], best[learn], count)
        probability[asked] = shift_probability(raw[asked], offsets[best[asked]])
    threshold = fit_threshold(probability, right, target=target, confidence=confidence)
    above = np.zeros(len(judged), np.bool_)
    if threshold.above is not None:
        above = probability > threshold.above
    known = truth >= 0
    return AttributeFiller(
        vocabulary=vocabulary,
        source="fused",
        threshold=threshold,
        logit_scale=logit_scale,
        held_back=mostly_wrong(right, best, above, count),
        offsets=value_offsets(raw, right, best, count),
        memory=AttributeMemory(features[inside], wide[inside], count),
        rows=rows[inside],
        fusion=Fusion.fit(scores[known], truth[known]),
    )


def _without_memory(
    vocabulary: Vocabulary,
    codes: CodeArray,
    zero_shot: FloatArray,
    prompts: bool,
    logit_scale: float,
) -> AttributeFiller:
    """Fill by prompts alone: only above a floor, and not if what is known speaks against it."""
    target = vocabulary.attribute.target_precision
    count = len(vocabulary.names)
    floor = max(target, PROBABILITY_FLOOR)
    hits = cells = 0
    reason = "unverified: too few known cells to check the prompts' answers against"
    above: float | None = floor
    if count < 2:
        above = None
        reason = (
            "the only value known leaves nothing to choose from; list the values in the schema"
            if count
            else "no values are known: list them in the schema"
        )
    elif not prompts:
        above, reason = None, "too few known cells, and no encoder to read prompts with"
    elif len(codes):
        shares = zero_shot_probabilities(zero_shot, logit_scale)
        sure = shares.max(axis=1) > floor
        cells = int(sure.sum())
        hits = int((shares.argmax(axis=1)[sure] == codes[sure]).sum())
        if cells and hits < target * cells:
            above = None
            reason = (
                f"too few known cells to learn from, and prompts alone are right for only {hits} "
                f"of the {cells} that they are sure of"
            )
    return AttributeFiller(
        vocabulary=vocabulary,
        source="zero-shot",
        threshold=Threshold(
            above, target, known=len(codes), cells=cells, right=hits, reason=reason
        ),
        logit_scale=logit_scale,
        held_back=np.zeros(count, np.bool_),
        offsets=np.zeros(count),
    )


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

    def zero_shot(self, embedding: FloatArray) -> dict[str, FloatArray]:
        """Score (N, D) embeddings against all attributes at once; (N, C) for each."""
        counts = {name: len(one.vocabulary.names) for name, one in self.attributes.items()}
        return score_prompts(self.bank, embedding, self.centre, counts)

    def choose(
        self, embedding: FloatArray, trunk: FloatArray, asked: Mapping[str, BoolArray]
    ) -> dict[str, Choice]:
        """Choose values for the cells asked for.

        Args:
            embedding: (N, D) unit norm.
            trunk: (N, T).
            asked: for each attribute, (N,) which rows' cells to choose for; Q of them are True.
        """
        scores = self.zero_shot(embedding)
        features = self.projection.apply(trunk)
        return {
            name: self.attributes[name].choose(features[cells], scores[name][cells])
            for name, cells in asked.items()
        }


def score_prompts(
    bank: PromptBank | None,
    embedding: FloatArray,
    centre: FloatArray,
    counts: Mapping[str, int],
) -> dict[str, FloatArray]:
    """Give each attribute's (N, C) prompt scores out of one product; zeros without prompts."""
    if bank is None:
        return {name: np.zeros((len(embedding), count), "f4") for name, count in counts.items()}
    scores = bank.scores(embedding, centre)
    return {name: scores[:, bank.places[name]] for name in counts}


def known_rows(codes: CodeArray, usable: BoolArray, seed: int) -> IntArray:
    """Give the ascending numbers of the rows that one attribute learns from.

    Args:
        codes: (N,) codes of the attribute's cells.
        usable: (N,) whether the row has an image.
        seed: of the sample where there are more than ``KNOWN_ROWS``.
    """
    rows = np.flatnonzero(((codes >= 0) | (codes == OUTSIDE)) & usable)
    return rows[_sample(len(rows), KNOWN_ROWS, seed)]


def _sample(amount: int, most: int, seed: int) -> IntArray:
    if amount <= most:
        return np.arange(amount, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(amount, most, replace=False))


def _best(probabilities: Doubles, offsets: Doubles) -> tuple[IntArray, Doubles]:
    """Give the (Q, A) best codes with their probabilities, the first one corrected."""
    kept = min(ALTERNATIVES, probabilities.shape[1])
    # Ties go to the value that comes first.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :kept]
    chances = np.take_along_axis(probabilities, order, axis=1)
    first = shift_probability(chances[:, 0], offsets[order[:, 0]])
    rest = 1 - chances[:, :1]
    share = np.divide(1 - first[:, None], rest, out=np.zeros_like(rest), where=rest > 0)
    chances[:, 1:] *= share
    chances[:, 0] = first
    best = np.full((len(order), ALTERNATIVES), -1, np.int64)
    probability = np.zeros((len(order), ALTERNATIVES))
    best[:, :kept], probability[:, :kept] = order, chances
    return best, probability
