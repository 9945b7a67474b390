"""What the other cells of a row say about one attribute: whether it applies, and its candidates.

Letters of shapes: N rows, Q of them, C values of one attribute, S answers, G groups of candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import Attribute
from rac.attributes.cells import MISSING, CodeArray, Vocabulary, split_cell

BoolArray = npt.NDArray[np.bool_]

APPLIES, UNTOLD, NOT = 1, -1, 0
"""What the other cells say: it applies, they do not tell, it does not."""


@dataclass(frozen=True)
class Cells:
    """The coded cells of N rows, for all attributes and the columns that they look at.

    Attributes:
        vocabularies: by the attribute's or column's name.
        codes: for each, (N,) codes.
    """

    vocabularies: Mapping[str, Vocabulary]
    codes: Mapping[str, CodeArray]

    def take(self, rows: npt.NDArray[np.int64] | slice) -> Cells:
        """Give some of the rows."""
        return Cells(self.vocabularies, {name: codes[rows] for name, codes in self.codes.items()})

    def applies(self, attribute: Attribute) -> npt.NDArray[np.int8]:
        """Say for each row whether the attribute makes sense there, as far as cells tell: (N,)."""
        count = len(next(iter(self.codes.values()), np.zeros(0)))
        answer = np.full(count, APPLIES, np.int8)
        for name, words in attribute.applies_when.items():
            holds = _codes_with(self.vocabularies[name], words)
            codes = self.codes[name]
            fulfilled = np.zeros(count, np.bool_)
            fulfilled[codes >= 0] = holds[codes[codes >= 0]]
            answer[(codes == MISSING) & (answer == APPLIES)] = UNTOLD
            answer[(codes != MISSING) & ~fulfilled] = NOT
        return answer

    def ruled_out(self, attribute: Attribute) -> BoolArray:
        """Say for N rows whether the cell is empty and another cell says that it does not apply."""
        missing = self.codes[attribute.name] == MISSING
        return np.asarray(missing & (self.applies(attribute) == NOT))

    def asked(self, attribute: Attribute, ok: BoolArray) -> BoolArray:
        """Say for N rows whether the image is asked about the cell; ``ok`` where there is one."""
        missing = self.codes[attribute.name] == MISSING
        return np.asarray(missing & ok & ~self.ruled_out(attribute))

    def possible_answers(
        self, attribute: Attribute, answer_count: int, rows: npt.NDArray[np.int64]
    ) -> BoolArray | None:
        """Say which answers the other cells leave possible for some rows.

        Args:
            attribute: whose answers they are: its values, and "not applicable" behind them.
            answer_count: S, which is C, or C + 1 where the attribute may not apply.
            rows: (Q,) which of the N.

        Returns:
            (Q, S), at least one of a row; None where all are possible.
        """
        values = self.candidates(attribute).of(rows)
        count = len(self.vocabularies[attribute.name].names)
        told = answer_count > count and bool(attribute.applies_when)
        if values is None and not told:
            return None
        possible = np.ones((len(rows), answer_count), np.bool_)
        if values is not None:
            # Where nothing would be left, the candidates say nothing.
            possible[:, :count] = values | ~values.any(axis=1, keepdims=True)
        if told:
            possible[self.applies(attribute)[rows] == APPLIES, count] = False
        return possible

    def candidates(self, attribute: Attribute) -> CandidateMask:
        """Say for each row which values are possible there."""
        count = len(self.codes[attribute.name])
        size = len(self.vocabularies[attribute.name].names)
        if attribute.candidates is None:
            return CandidateMask(np.ones((1, size), np.bool_), np.zeros(count, np.int64))
        deciding = self.vocabularies[attribute.candidates.by]
        own = self.vocabularies[attribute.name]
        possible = [np.ones(size, np.bool_)]
        group_of = np.zeros(len(deciding.names) + 1, np.int64)
        for word, values in attribute.candidates.values.items():
            group_of[:-1][_codes_with(deciding, (word,))] = len(possible)
            possible.append(_codes_with(own, values, every=True))
        codes = self.codes[attribute.candidates.by]
        return CandidateMask(np.stack(possible), group_of[np.where(codes >= 0, codes, -1)])


@dataclass(frozen=True)
class CandidateMask:
    """Which values are possible, by group.

    Attributes:
        possible: (G, C); the first group may take any value.
        group: (N,) group of each row.
    """

    possible: BoolArray
    group: npt.NDArray[np.int64]

    def of(self, rows: npt.NDArray[np.int64]) -> BoolArray | None:
        """Give the (Q, C) possible values of some rows; None where all may take any."""
        if len(self.possible) == 1:
            return None
        return np.asarray(self.possible[self.group[rows]], np.bool_)


def _codes_with(
    vocabulary: Vocabulary, words: tuple[str, ...], *, every: bool = False
) -> BoolArray:
    """Say for each value whether it is one of the words; of several, whether any (every) is."""
    wanted = {vocabulary.code(word) for word in words}
    answer = np.zeros(len(vocabulary.names), np.bool_)
    for code, name in enumerate(vocabulary.names):
        parts = {code}
        if vocabulary.attribute.multiple:
            parts = {vocabulary.code(part) for part in split_cell(name, vocabulary)}
        answer[code] = parts <= wanted if every else bool(parts & wanted)
    return answer
