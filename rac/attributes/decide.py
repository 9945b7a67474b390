"""From answers to ledger rows: one chunk of a table at a time, in whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rac.attributes.cells import MISSING, OUTSIDE
from rac.attributes.columns import raw_texts
from rac.attributes.ledger import LEDGER_SCHEMA, Decision
from rac.attributes.model.filler import (
    AbstainReason,
    AttributeFiller,
    AttributePrediction,
    BoolArray,
    Filler,
    IntArray,
    Outcome,
)
from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import Cells
from rac.attributes.store import StoredEmbeddings
from rac.tables import Table


@dataclass(frozen=True)
class Decider:
    """Decides the cells of a table's rows.

    Attributes:
        table: whose rows.
        store: their embeddings.
        cells: their coded cells.
        filler: what the cells are answered by.
    """

    table: Table
    store: StoredEmbeddings
    cells: Cells
    filler: Filler

    def decide(self, batch: pa.RecordBatch, first: int) -> list[pa.RecordBatch]:
        """Give the ledger rows of a batch, attribute by attribute.

        Args:
            batch: n rows of the table.
            first: number of the first.
        """
        part = slice(first, first + batch.num_rows)
        cells = self.cells.take(part)
        images = RowFeatures(
            np.asarray(self.store.embedding[part]),
            np.asarray(self.store.trunk[part]),
            self.store.ok[part],
        )
        predictions = self.filler.predict(images, cells)
        return [
            self._ledger_rows(name, batch, first, cells, prediction)
            for name, prediction in predictions.items()
        ]

    def _ledger_rows(
        self,
        name: str,
        batch: pa.RecordBatch,
        first: int,
        cells: Cells,
        prediction: AttributePrediction,
    ) -> pa.RecordBatch:
        one = self.filler.attributes[name]
        codes = cells.codes[name]
        rows = np.flatnonzero((codes == MISSING) | (codes == OUTSIDE))
        ruled = cells.ruled_out(one.attribute)[rows]
        outside = codes[rows] == OUTSIDE
        asked = np.zeros(len(codes), np.bool_)
        asked[prediction.rows] = True
        asked = asked[rows]
        decision = np.full(len(rows), _DECISIONS.index(Decision.BAD_IMAGE))
        decision[outside] = _DECISIONS.index(Decision.KNOWN)
        decision[ruled] = _DECISIONS.index(Decision.NOT_APPLICABLE)
        decision[asked] = _OF_OUTCOME[prediction.outcome]
        before = raw_texts(self.table, batch, one.attribute.column, rows)
        numbers = pa.array(rows + first)
        columns = {
            "row": numbers,
            "id": self.store.ids.take(numbers).combine_chunks(),
            "attribute": _same(name, len(rows)),
            "decision": _words(decision, [str(word) for word in _DECISIONS]),
            "before": before,
            "value": self._values(one, rows, codes, asked, ruled, prediction, before),
            "probability": _spread(prediction.probability[:, 0], asked, 1.0, ruled),
            "threshold": _spread(_thresholds(one, prediction), asked),
            "source": _words(np.where(asked, 0, np.where(ruled, 1, -1)), [str(one.source), "rule"]),
            "alternatives": _alternatives(one, prediction, asked),
            "prompts": self._prompts(name, cells, rows, asked, prediction),
            **self._neighbours(prediction, asked),
            "reason": self._reasons(one, rows + first, asked, ruled, outside, prediction),
        }
        return pa.RecordBatch.from_arrays(
            [columns[field.name] for field in LEDGER_SCHEMA], schema=LEDGER_SCHEMA
        )

    def _values(
        self,
        one: AttributeFiller,
        rows: IntArray,
        codes: np.ndarray,
        asked: BoolArray,
        ruled: BoolArray,
        prediction: AttributePrediction,
        before: pa.Array,
    ) -> pa.Array:
        count = len(one.vocabulary.names)
        answers = np.full(len(rows), -1, np.int64)
        answers[asked] = prediction.best[:, 0]
        answers[ruled] = count
        words = [*one.vocabulary.names, one.attribute.not_applicable_words[0]]
        outside = np.flatnonzero(codes[rows] == OUTSIDE)
        if len(outside):
            texts = before.take(pa.array(outside)).to_pylist()
            places = {text: place for place, text in enumerate(dict.fromkeys(texts), len(words))}
            answers[outside] = [places[text] for text in texts]
            words += list(places)
        return _words(answers, words)

    def _prompts(
        self,
        name: str,
        cells: Cells,
        rows: IntArray,
        asked: BoolArray,
        prediction: AttributePrediction,
    ) -> pa.Array:
        numbers = np.full(len(rows), -1, np.int64)
        if self.filler.bank is None:
            return _words(numbers, [])
        prompts = self.filler.bank.prompts[name]
        context = prompts.context_of(cells, rows[asked])
        answers = prediction.best[:, 0]
        valued = (answers >= 0) & (answers < len(prompts.vocabulary.names))
        width = len(prompts.vocabulary.names) + 1
        pairs = (0 if context is None else context) * width + answers
        found, places = np.unique(np.where(valued, pairs, -1), return_inverse=True)
        texts = [
            "\n".join(prompts.words(pair % width, pair // width))
            for pair in found.tolist()
            if pair >= 0
        ]
        missing = len(found) - len(texts)
        numbers[asked] = places.ravel() - missing
        return _words(numbers, texts)

    def _neighbours(self, prediction: AttributePrediction, asked: BoolArray) -> dict[str, pa.Array]:
        near = prediction.neighbours
        there = near >= 0
        sizes = np.zeros(len(asked), np.int64)
        sizes[asked] = there.sum(axis=1)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        flat = pa.array(near[there])
        nothing = pa.array(~asked)
        return {
            "neighbour_rows": pa.ListArray.from_arrays(offsets, flat, mask=nothing),
            "neighbour_ids": pa.ListArray.from_arrays(
                offsets, self.store.ids.take(flat).combine_chunks().cast(pa.string()), mask=nothing
            ),
        }

    def _reasons(
        self,
        one: AttributeFiller,
        numbers: IntArray,
        asked: BoolArray,
        ruled: BoolArray,
        outside: BoolArray,
        prediction: AttributePrediction,
    ) -> pa.Array:
        texts: dict[str, int] = {}
        places = np.full(len(numbers), -1, np.int64)

        def place(text: str | None) -> int:
            return -1 if text is None else texts.setdefault(text, len(texts))

        absent = prediction.best[:, 0] >= len(one.vocabulary.names)
        answers = np.where(
            prediction.reason == AbstainReason.WITHHELD,
            prediction.best[:, 0],
            np.where(absent, one.answer_count - 1, 0),
        )
        kinds = prediction.reason.astype(np.int64) * (one.answer_count + 1) + answers
        found, member = np.unique(kinds, return_inverse=True)
        reasons = [
            place(
                one.words(
                    AbstainReason(kind // (one.answer_count + 1)), kind % (one.answer_count + 1)
                )
            )
            for kind in found.tolist()
        ]
        places[asked] = np.array(reasons, np.int64)[member.ravel()] if reasons else -1
        places[ruled] = place(one.words(AbstainReason.BY_RULE, 0))
        places[outside] = place("the value is not one of the schema's; kept")
        bad = ~(asked | ruled | outside)
        for spot in np.flatnonzero(bad).tolist():
            places[spot] = place(self.store.faults.get(int(numbers[spot])))
        return _words(places, list(texts))


_DECISIONS = list(Decision)
_OF_OUTCOME = np.array(
    [
        _DECISIONS.index(
            {
                Outcome.VALUE: Decision.FILLED,
                Outcome.NOT_APPLICABLE: Decision.NOT_APPLICABLE,
                Outcome.CANNOT_TELL: Decision.ABSTAINED,
            }[outcome]
        )
        for outcome in Outcome
    ]
)


def _thresholds(one: AttributeFiller, prediction: AttributePrediction) -> np.ndarray:
    absent = prediction.best[:, 0] >= len(one.vocabulary.names)
    value, absence = (
        np.nan if rule.above is None else rule.above for rule in (one.threshold, one.absence)
    )
    return np.where(absent, absence, value)


def _words(places: np.ndarray, words: list[str]) -> pa.Array:
    """Make a column of words out of their places; -1 is no word."""
    indices = pa.array(places.astype(np.int32), mask=places < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))


def _same(word: str, count: int) -> pa.Array:
    return _words(np.zeros(count, np.int32), [word])


def _spread(
    numbers: np.ndarray,
    places: BoolArray,
    certain: float = np.nan,
    sure: BoolArray | None = None,
) -> pa.Array:
    """Put numbers into their places of a longer column; null elsewhere and for NaN."""
    column = np.full(len(places), np.nan, np.float32)
    column[places] = numbers
    if sure is not None:
        column[sure] = certain
    return pa.array(column, mask=np.isnan(column))


def _alternatives(
    one: AttributeFiller, prediction: AttributePrediction, asked: BoolArray
) -> pa.Array:
    there = prediction.best >= 0
    sizes = np.zeros(len(asked), np.int64)
    sizes[asked] = there.sum(axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    words = pa.array([*one.vocabulary.names, one.attribute.not_applicable_words[0]], pa.string())
    answers = pa.array(prediction.best[there])
    pairs = pa.StructArray.from_arrays(
        [words.take(answers), pa.array(prediction.probability[there].astype(np.float32))],
        ["value", "probability"],
    )
    return pa.ListArray.from_arrays(offsets, pairs, mask=pa.array(~asked))
