"""What the cells of a column say: one of the attribute's values, something else, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rac.attributes.schema import Attribute, Value, plain_word
from rac.errors import InputError

CodeArray = npt.NDArray[np.int32]

MISSING = -1
"""Code of a cell that says nothing."""

OUTSIDE = -2
"""Code of a cell that says something which is not one of the attribute's values."""

MAX_VALUES = 10_000


@dataclass(frozen=True)
class Vocabulary:
    """The values that an attribute can take, in order; C of them.

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
    def _unknown(self) -> frozenset[str]:
        return frozenset(plain_word(word) for word in ("", *self.attribute.unknown))

    def code(self, cell: str | None) -> int:
        """Give a cell's code: of its value in [0, C), ``MISSING`` or ``OUTSIDE``.

        >>> colour = Attribute(name="colour", values=["red", {"name": "navy", "synonyms": ["b"]}])
        >>> words = Vocabulary(colour, colour.values)
        >>> [words.code(cell) for cell in ("red", " B ", "N/A", None, "teal")]
        [0, 1, -1, -1, -2]
        """
        if cell is None:
            return MISSING
        word = plain_word(cell)
        if word in self._unknown:
            return MISSING
        return self._code_of.get(word, OUTSIDE)

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


class ValueCensus:
    """Counts the words of a column, batch by batch, to tell the values of its attribute."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute
        self._spellings: dict[str, Counter[str]] = {}

    def count(self, cells: Iterable[str | None]) -> None:
        """Take in more cells.

        Raises:
            InputError: the column holds more different values than an attribute can have.
        """
        if self.attribute.values is not None:
            return
        for cell, times in Counter(cells).items():
            if cell is None or self.attribute.means_missing(cell):
                continue
            self._spellings.setdefault(plain_word(cell), Counter())[cell] += times
        if len(self._spellings) > MAX_VALUES:
            raise InputError(
                f"attribute {self.attribute.name!r}: column {self.attribute.column!r} holds more "
                f"than {MAX_VALUES:,} different values; is it free text? List the values that may "
                "be filled in under 'values' in the schema"
            )

    def vocabulary(self) -> Vocabulary:
        """Give the schema's values, or else the words counted, each in its commonest spelling."""
        if self.attribute.values is not None:
            return Vocabulary(self.attribute, self.attribute.values)
        names = []
        for word in sorted(self._spellings):
            spellings = self._spellings[word]
            names.append(min(spellings, key=lambda text: (-spellings[text], text)))
        return Vocabulary(self.attribute, tuple(Value(name=name) for name in names))


def vocabulary_of(attribute: Attribute, cells: Sequence[str | None]) -> Vocabulary:
    """Give the vocabulary of an attribute whose N cells are at hand."""
    census = ValueCensus(attribute)
    census.count(cells)
    return census.vocabulary()
