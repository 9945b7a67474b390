"""From answers to ledger rows: one stretch of a table at a time, in whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rac.attributes.cells import MISSING, OUTSIDE
from rac.attributes.columns import raw_texts
from rac.attributes.features import asked_cells
from rac.attributes.filler import (
    Answer,
    AttributeFiller,
    BoolArray,
    Choice,
    Filler,
    IntArray,
    Why,
    ruled_out,
)
from rac.attributes.ledger import LEDGER_SCHEMA, Decision
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
        filler: what was learnt.
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
        ok = self.store.ok[part]
        asked = {name: asked_cells(cells, name, ok) for name in self.filler.attributes}
        choices = self.filler.choose(
            np.asarray(self.store.embedding[part]), np.asarray(self.store.trunk[part]), cells, asked
        )
        return [
            self._ledger_rows(name, batch, first, cells, ok, asked[name], choices[name])
            for name in self.filler.attributes
        ]

    def _ledger_rows(
        self,
        name: str,
        batch: pa.RecordBatch,
        first: int,
        cells: Cells,
        ok: BoolArray,
        asked: BoolArray,
        choice: Choice,
    ) -> pa.RecordBatch:
        one = self.filler.attributes[name]
        codes = cells.codes[name]
        rows = np.flatnonzero((codes == MISSING) | (codes == OUTSIDE))
        ruled = ruled_out(cells, name)[rows]
        outside = codes[rows] == OUTSIDE
        chosen = asked[rows]
        decision = np.full(len(rows), _DECISIONS.index(Decision.BAD_IMAGE))
        decision[outside] = _DECISIONS.index(Decision.KNOWN)
        decision[ruled] = _DECISIONS.index(Decision.NOT_APPLICABLE)
        decision[chosen] = _OF_ANSWER[choice.answer]
        before = raw_texts(self.table, batch, one.attribute.column, rows)
        numbers = pa.array(rows + first)
        columns = {
            "row": numbers,
            "id": self.store.ids.take(numbers).combine_chunks(),
            "attribute": _same(name, len(rows)),
            "decision": _words(decision, [str(word) for word in _DECISIONS]),
            "before": before,
            "value": self._values(one, rows, codes, chosen, ruled, choice, before),
            "probability": _spread(choice.probability[:, 0], chosen, 1.0, ruled),
            "threshold": _spread(_thresholds(one, choice), chosen),
            "source": _words(
                np.where(chosen, 0, np.where(ruled, 1, -1)), [str(one.source), "rule"]
            ),
            "alternatives": _alternatives(one, choice, chosen),
            "prompts": self._prompts(name, cells, rows, chosen, choice),
            **self._neighbours(choice, chosen),
            "reason": self._reasons(one, rows + first, chosen, ruled, outside, choice),
        }
        return pa.RecordBatch.from_arrays(
            [columns[field.name] for field in LEDGER_SCHEMA], schema=LEDGER_SCHEMA
        )

    def _values(
        self,
        one: AttributeFiller,
        rows: IntArray,
        codes: np.ndarray,
        chosen: BoolArray,
        ruled: BoolArray,
        choice: Choice,
        before: pa.Array,
    ) -> pa.Array:
        count = len(one.vocabulary.names)
        slots = np.full(len(rows), -1, np.int64)
        slots[chosen] = choice.best[:, 0]
        slots[ruled] = count
        words = [*one.vocabulary.names, one.attribute.not_applicable_words[0]]
        outside = np.flatnonzero(codes[rows] == OUTSIDE)
        if len(outside):
            texts = before.take(pa.array(outside)).to_pylist()
            places = {text: place for place, text in enumerate(dict.fromkeys(texts), len(words))}
            slots[outside] = [places[text] for text in texts]
            words += list(places)
        return _words(slots, words)

    def _prompts(
        self, name: str, cells: Cells, rows: IntArray, chosen: BoolArray, choice: Choice
    ) -> pa.Array:
        numbers = np.full(len(rows), -1, np.int64)
        if self.filler.bank is None:
            return _words(numbers, [])
        prompts = self.filler.bank.prompts[name]
        context = prompts.context_of(cells, rows[chosen])
        slots = choice.best[:, 0]
        valued = (slots >= 0) & (slots < len(prompts.vocabulary.names))
        width = len(prompts.vocabulary.names) + 1
        pairs = (0 if context is None else context) * width + slots
        found, places = np.unique(np.where(valued, pairs, -1), return_inverse=True)
        texts = [
            "\n".join(prompts.words(pair % width, pair // width))
            for pair in found.tolist()
            if pair >= 0
        ]
        missing = len(found) - len(texts)
        numbers[chosen] = places.ravel() - missing
        return _words(numbers, texts)

    def _neighbours(self, choice: Choice, chosen: BoolArray) -> dict[str, pa.Array]:
        near = choice.neighbours
        there = near >= 0
        sizes = np.zeros(len(chosen), np.int64)
        sizes[chosen] = there.sum(axis=1)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        flat = pa.array(near[there])
        nothing = pa.array(~chosen)
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
        chosen: BoolArray,
        ruled: BoolArray,
        outside: BoolArray,
        choice: Choice,
    ) -> pa.Array:
        texts: dict[str, int] = {}
        places = np.full(len(numbers), -1, np.int64)

        def place(text: str | None) -> int:
            return -1 if text is None else texts.setdefault(text, len(texts))

        absent = choice.best[:, 0] >= len(one.vocabulary.names)
        slots = np.where(
            choice.why == Why.HELD_BACK, choice.best[:, 0], np.where(absent, one.slots - 1, 0)
        )
        kinds = choice.why.astype(np.int64) * (one.slots + 1) + slots
        found, member = np.unique(kinds, return_inverse=True)
        reasons = [
            place(one.reason(Why(kind // (one.slots + 1)), kind % (one.slots + 1)))
            for kind in found.tolist()
        ]
        places[chosen] = np.array(reasons, np.int64)[member.ravel()] if reasons else -1
        places[ruled] = place(one.reason(Why.BY_RULE, 0))
        places[outside] = place("the value is not one of the schema's; kept")
        bad = ~(chosen | ruled | outside)
        for spot in np.flatnonzero(bad).tolist():
            places[spot] = place(self.store.faults.get(int(numbers[spot])))
        return _words(places, list(texts))


_DECISIONS = list(Decision)
_OF_ANSWER = np.array(
    [
        _DECISIONS.index(
            {
                Answer.VALUE: Decision.FILLED,
                Answer.NOT_APPLICABLE: Decision.NOT_APPLICABLE,
                Answer.CANNOT_TELL: Decision.ABSTAINED,
            }[answer]
        )
        for answer in Answer
    ]
)


def _thresholds(one: AttributeFiller, choice: Choice) -> np.ndarray:
    absent = choice.best[:, 0] >= len(one.vocabulary.names)
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


def _alternatives(one: AttributeFiller, choice: Choice, chosen: BoolArray) -> pa.Array:
    there = choice.best >= 0
    sizes = np.zeros(len(chosen), np.int64)
    sizes[chosen] = there.sum(axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    words = pa.array([*one.vocabulary.names, one.attribute.not_applicable_words[0]], pa.string())
    slots = pa.array(choice.best[there])
    pairs = pa.StructArray.from_arrays(
        [words.take(slots), pa.array(choice.probability[there].astype(np.float32))],
        ["value", "probability"],
    )
    return pa.ListArray.from_arrays(offsets, pairs, mask=pa.array(~chosen))
