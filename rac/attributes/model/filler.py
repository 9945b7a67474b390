"""The fitted filler: what is known of each attribute, and what it answers for a cell.

Letters of shapes: N rows, Q queries, D embedding, T trunk and P projected dimensions, C values of
one attribute, S answers (the values, and "not applicable" behind them where that can be the
answer), A alternatives kept, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import Attribute
from rac.attributes.cells import Vocabulary
from rac.attributes.model.grounds import Grounds, Source
from rac.attributes.model.precision_control import Threshold, shift_probability
from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import APPLIES, Cells
from rac.attributes.task.memory import NEIGHBOURS
from rac.attributes.task.projection import Projection
from rac.attributes.task.queries import AskedRows
from rac.attributes.zero_shot import PromptBank, score_prompts
from rac.encoders.base import FloatArray
from rac.workers import single_threads

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

ALTERNATIVES = 3


class Outcome(IntEnum):
    """What becomes of a missing cell."""

    VALUE = 0
    NOT_APPLICABLE = 1
    CANNOT_TELL = 2


class AbstainReason(IntEnum):
    """Why a cell cannot be told, or what an answer rests on besides its probability."""

    SURE = 0
    BY_RULE = 1
    BELOW = 2
    WITHHELD = 3
    NOTHING_VOUCHED = 4


@dataclass(frozen=True)
class AttributePrediction:
    """What the filler makes of Q cells of one attribute.

    Attributes:
        rows: (Q,) their row numbers, ascending.
        outcome: (Q,) of :class:`Outcome`.
        reason: (Q,) of :class:`AbstainReason`.
        best: (Q, A) the best answers, best first; -1 where there are fewer.
        probability: (Q, A) of these; 0 where there are fewer.
        neighbours: (Q, K) row numbers of the nearest training rows; -1 where there are fewer.
    """

    rows: IntArray
    outcome: npt.NDArray[np.int8]
    reason: npt.NDArray[np.int8]
    best: IntArray
    probability: Doubles
    neighbours: IntArray

    @property
    def filled(self) -> BoolArray:
        """(Q,) whether the best value is to be written."""
        return np.asarray(self.outcome == Outcome.VALUE)


@dataclass(frozen=True)
class AttributeFiller:
    """What is known of one attribute, and how its cells are answered.

    Attributes:
        vocabulary: its C values.
        threshold: from which probability on a value is written, with the evidence for it.
        absence: the same for the answer "not applicable".
        withheld: (S,) answers that are never given, not having proved right.
        offsets: (S,) corrections of the best answer's log odds.
        grounds: what gives the probabilities.
    """

    vocabulary: Vocabulary
    threshold: Threshold
    absence: Threshold
    withheld: BoolArray
    offsets: Doubles
    grounds: Grounds

    @property
    def attribute(self) -> Attribute:
        """Whose filler this is."""
        return self.vocabulary.attribute

    @property
    def source(self) -> Source:
        """``fused`` where training cells back it, ``zero-shot`` where prompts stand alone."""
        return self.grounds.source

    @property
    def answer_count(self) -> int:
        """S."""
        return len(self.withheld)

    @property
    def withheld_names(self) -> list[str]:
        """The values that are never filled, if training cells speak at all."""
        return [name for code, name in enumerate(self.vocabulary.names) if self.withheld[code]]

    def answer_name(self, answer: int) -> str | None:
        """Give the value of an answer, or the word for "not applicable"."""
        if answer < 0:
            return None
        if answer < len(self.vocabulary.names):
            return self.vocabulary.names[answer]
        return self.attribute.not_applicable_words[0]

    def predict(
        self, features: FloatArray, prompts: FloatArray, cells: Cells, rows: IntArray
    ) -> AttributePrediction:
        """Answer for each of Q cells.

        Args:
            features: (Q, P) projected trunk features.
            prompts: (Q, C) scores from prompts.
            cells: of N rows.
            rows: (Q,) which of the N are asked for.
        """
        count = len(self.vocabulary.names)
        if not count:
            return AttributePrediction(
                rows=rows,
                outcome=np.full(len(rows), Outcome.CANNOT_TELL, np.int8),
                reason=np.full(len(rows), AbstainReason.NOTHING_VOUCHED, np.int8),
                best=np.full((len(rows), ALTERNATIVES), -1, np.int64),
                probability=np.zeros((len(rows), ALTERNATIVES)),
                neighbours=np.full((len(rows), NEIGHBOURS), -1, np.int64),
            )
        columns = self.grounds.columns
        asked = AskedRows.of(
            features, prompts, cells, rows, self.attribute, self.answer_count, columns
        )
        probabilities, neighbours = self.grounds.probabilities(asked)
        best, probability = best_answers(probabilities, self.offsets)
        absent = best[:, 0] >= count
        applies = cells.applies(self.attribute)[rows]
        above = np.where(absent, _floor(self.absence), _floor(self.threshold))
        reason = np.where(
            np.isinf(above),
            AbstainReason.NOTHING_VOUCHED,
            np.where(
                probability[:, 0] <= above,
                AbstainReason.BELOW,
                np.where(self.withheld[best[:, 0]], AbstainReason.WITHHELD, AbstainReason.SURE),
            ),
        )
        if self.source == "zero-shot":
            # Prompts do not say whether the attribute makes sense at all.
            reason[applies != APPLIES] = AbstainReason.NOTHING_VOUCHED
        outcome = np.where(
            reason != AbstainReason.SURE,
            Outcome.CANNOT_TELL,
            np.where(absent, Outcome.NOT_APPLICABLE, Outcome.VALUE),
        )
        return AttributePrediction(
            rows, outcome.astype(np.int8), reason.astype(np.int8), best, probability, neighbours
        )

    def words(self, reason: AbstainReason, answer: int) -> str | None:
        """Say in words why a cell with that best answer was answered so; None where plain."""
        if reason == AbstainReason.SURE:
            return None
        if reason == AbstainReason.BY_RULE:
            return "another cell of the row says that the attribute does not apply"
        rule = self.absence if answer >= len(self.vocabulary.names) else self.threshold
        if reason == AbstainReason.BELOW:
            return "the probability is not above the threshold"
        if reason == AbstainReason.WITHHELD:
            return (
                f"{self.answer_name(answer)!r} is held back: among known cells that were as sure, "
                "it has not proved right often enough"
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

    def predict(
        self,
        images: RowFeatures,
        cells: Cells,
        *,
        workers: int | None = 1,
    ) -> dict[str, AttributePrediction]:
        """Answer for the cells that the images are asked about, see :meth:`Cells.asked`.

        Args:
            images: of N rows.
            cells: of the same rows.
            workers: attributes answered for side by side; one for each processor if None.
        """
        features = self.projection.apply(images.trunk)

        def answer(name: str) -> AttributePrediction:
            one = self.attributes[name]
            rows = np.flatnonzero(cells.asked(one.attribute, images.ok))
            embedding = images.embedding[rows]
            prompts = score_prompts(self.bank, name, embedding, self.centre, cells, rows)
            return one.predict(features[rows], prompts, cells, rows)

        if workers == 1:
            return {name: answer(name) for name in self.attributes}
        with single_threads(workers) as pool:
            return dict(zip(self.attributes, pool.map(answer, self.attributes), strict=True))


def best_answers(probabilities: Doubles, offsets: Doubles) -> tuple[IntArray, Doubles]:
    """Give the (Q, A) best answers of (Q, S) probabilities with theirs, the first one corrected."""
    kept = min(ALTERNATIVES, probabilities.shape[1])
    best = np.full((len(probabilities), ALTERNATIVES), -1, np.int64)
    probability = np.zeros((len(probabilities), ALTERNATIVES))
    rows = np.arange(len(probabilities))
    left = probabilities.copy()
    for place in range(kept):
        # argmax gives ties to the answer that comes first.
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
