"""What the cells of a column say: one of the attribute's values, something else, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import Attribute, Value, plain_word
from rac.errors import InputError

CodeArray = npt.NDArray[np.int32]

MISSING = -1
"""Code of a cell that says nothing."""

OUTSIDE = -2
"""Code of a cell that says something which is not one of the attribute's values."""

NOT_APPLICABLE = -3
"""Code of a cell that says that the attribute makes no sense for its item."""

MAX_VALUES = 10_000


@dataclass(frozen=True)
class Vocabulary:
    """The values that an attribute can take, in order; C of them.

    Where a cell may hold several values, each combination that occurs is a value of its own
    behind the single ones (label powerset; Tsoumakas and Katakis 2007): a fill is then right or
    wrong as a whole, and the promise is about whole cells.

    Attributes:
        attribute: whose they are.
        values: C values; their index is their code.
    """

    attribute: Attribute
    values: tuple[Value, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What is written into a cell, C names."""
        return tuple(value.name for value in self.values)

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {
            plain_word(word): code for code, value in enumerate(self.values) for word in value.words
        }

    @cached_property
    def _special(self) -> dict[str, int]:
        words = {plain_word(word): NOT_APPLICABLE for word in self.attribute.not_applicable_words}
        return {**words, **{plain_word(word): MISSING for word in ("", *self.attribute.unknown)}}

    def code(self, cell: str | None) -> int:
        """Give a cell's code: of its value in [0, C), or one of the three below zero.

        >>> colour = Attribute(name="colour", values=["red", {"name": "navy", "synonyms": ["b"]}])
        >>> words = Vocabulary(colour, colour.values)
        >>> [words.code(cell) for cell in ("red", " B ", "N/A", None, "teal", "Not applicable")]
        [0, 1, -1, -1, -2, -3]
        """
        if cell is None:
            return MISSING
        word = plain_word(cell)
        special = self._special.get(word)
        if special is not None:
            return special
        code = self._code_of.get(word)
        if code is None and self.attribute.multiple:
            parts = [self._code_of.get(plain_word(part)) for part in split_cell(cell, self)]
            known = sorted({part for part in parts if part is not None})
            if known and None not in parts:
                together = joined(self.attribute, [self.names[part] for part in known])
                code = self._code_of.get(plain_word(together))
        return OUTSIDE if code is None else code

    def codes(self, cells: Iterable[str | None]) -> CodeArray:
        """Give the (N,) codes of N cells."""
        known: dict[str | None, int] = {}
        return np.fromiter(
            (
                known[cell] if cell in known else known.setdefault(cell, self.code(cell))
                for cell in cells
            ),
            np.int32,
        )


def split_cell(cell: str, vocabulary: Vocabulary) -> list[str]:
    """Give the words of a cell that holds several values."""
    separator = vocabulary.attribute.separator
    parts = cell.split(separator.strip() or separator)
    return [part for part in parts if part.strip()]


def joined(attribute: Attribute, names: Sequence[str]) -> str:
    """Write several values into one cell."""
    return attribute.separator.join(names)


def vocabulary_from_counts(attribute: Attribute, counts: Mapping[str | None, int]) -> Vocabulary:
    """Give the schema's values, or else the words counted, each in its commonest spelling.

    Args:
        attribute: whose values are wanted.
        counts: how often each cell text occurs.

    Raises:
        InputError: there are more different values than an attribute can have.
    """
    bare = Vocabulary(attribute, attribute.values or ())
    texts = {
        text: times
        for text, times in counts.items()
        if text is not None and bare.code(text) not in (MISSING, NOT_APPLICABLE)
    }
    values = attribute.values
    if values is None:
        spellings: dict[str, Counter[str]] = {}
        for text, times in texts.items():
            parts = split_cell(text, bare) if attribute.multiple else [text]
            for part in parts:
                part = part.strip() if attribute.multiple else part
                spellings.setdefault(plain_word(part), Counter())[part] += times
        _refuse_too_many(attribute, len(spellings))
        values = tuple(
            Value(name=min(found, key=lambda text: (-found[text], text)))
            for _, found in sorted(spellings.items())
        )
    if attribute.multiple:
        values = (*values, *_combinations(Vocabulary(attribute, values), texts))
        _refuse_too_many(attribute, len(values))
    return Vocabulary(attribute, values)


def _combinations(single: Vocabulary, texts: Iterable[str]) -> list[Value]:
    found: dict[tuple[int, ...], None] = {}
    for text in sorted(texts):
        codes = [single.code(part) for part in split_cell(text, single)]
        if len(set(codes)) > 1 and min(codes) >= 0:
            found[tuple(sorted(set(codes)))] = None
    return [
        Value(
            name=joined(single.attribute, [single.names[code] for code in codes]),
            # In a prompt the values stand side by side as people would say it.
            synonyms=(" and ".join(single.names[code] for code in codes),),
        )
        for codes in sorted(found)
    ]


def _refuse_too_many(attribute: Attribute, count: int) -> None:
    if count > MAX_VALUES:
        raise InputError(
            f"attribute {attribute.name!r}: column {attribute.column!r} holds more "
            f"than {MAX_VALUES:,} different values; is it free text? List the values that may "
            "be filled in under 'values' in the schema"
        )


def vocabulary_of(attribute: Attribute, cells: Sequence[str | None]) -> Vocabulary:
    """Give the vocabulary of an attribute whose N cells are at hand."""
    return vocabulary_from_counts(attribute, Counter(cells))
