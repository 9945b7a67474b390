"""One attribute of a catalogue: its values, prompts, conditions and words, validated."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DEFAULT_UNKNOWN = ("", "n/a", "#n/a", "-", "--", "?", "none given", "not given", "null", "nan")
"""Words that mean "nobody has filled this in"; compared without case and outer spaces."""

DEFAULT_NOT_APPLICABLE = ("not applicable", "does not apply")
"""Words that are always read as "this attribute makes no sense for this item"."""

DEFAULT_TARGET_PRECISION = 0.95

_WORD_TEMPLATES = ("a photo of a {}.", "a picture of {}.", "{}.")
_PLACE = re.compile(r"\{([^{}]*)\}")

Word = Annotated[str, Field(min_length=1)]


def plain_word(cell: str) -> str:
    r"""Give the form in which cells and values are compared: no case, single spaces.

    >>> plain_word("  Navy\n Blue ")
    'navy blue'
    """
    return " ".join(cell.split()).casefold()


def template_columns(template: str) -> tuple[str, ...]:
    """Give the columns that a prompt template names, besides the place of the value.

    >>> template_columns("a {} {department} from {brand}")
    ('department', 'brand')
    """
    return tuple(name for name in _PLACE.findall(template) if name)


class Value(BaseModel):
    """One value that an attribute can take.

    Attributes:
        name: what is written into a cell, exactly so.
        synonyms: other words for it; read in cells and used in prompts, never written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word
    synonyms: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The name, then its synonyms."""
        return (self.name, *self.synonyms)


class Candidates(BaseModel):
    """Which values a row may take, by another cell of the row.

    Attributes:
        by: the attribute or column that decides.
        values: for each of its words, the names of the values that are possible there. A row
            whose deciding cell is empty or says something else may take any value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Word
    values: Annotated[dict[str, tuple[Word, ...]], Field(min_length=1)]


class Attribute(BaseModel):
    """One attribute of a catalogue.

    Attributes:
        name: how it is called; the key in the schema.
        values: what it can be; None where the values are those of the column's known cells.
        templates: prompts with ``{}`` in the place of a value's word, and ``{column}`` in the
            place of another cell of the row; a template whose cell is empty is left out there.
        column: the table's column.
        target_precision: in (0, 1), the share of filled cells that must be right.
        unknown: words in a cell that mean that it is missing.
        multiple: whether a cell may hold several values.
        separator: what stands between the values of one cell.
        applies_when: for attributes or columns, the words at which this attribute makes sense;
            all must hold. Elsewhere it is not applicable.
        not_applicable: what is written where the attribute does not apply, and read as such; None
            leaves those cells as they are, and only the ledger says so.
        candidates: which values a row may take, by another cell; None for all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word
    values: tuple[Value, ...] | None = None
    templates: tuple[str, ...] = ()
    column: str = ""
    target_precision: Annotated[float, Field(gt=0, lt=1)] = DEFAULT_TARGET_PRECISION
    unknown: tuple[str, ...] = DEFAULT_UNKNOWN
    multiple: bool = False
    separator: Word = ", "
    applies_when: dict[str, tuple[Word, ...]] = {}
    not_applicable: Word | None = None
    candidates: Candidates | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _accept_plain_names(cls, values: Any) -> Any:
        if values is None or values == "":
            return None
        if isinstance(values, (list, tuple)):
            return [{"name": value} if isinstance(value, str) else value for value in values]
        return values

    @field_validator("values")
    @classmethod
    def _refuse_ambiguous_values(cls, values: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
        if values is None:
            return None
        if not values:
            raise ValueError("the list is empty; leave it out to take the column's own values")
        owner: dict[str, str] = {}
        for value in values:
            for word in value.words:
                if plain_word(word) in owner:
                    raise ValueError(f"{word!r} stands twice: for {owner[plain_word(word)]!r} too")
                owner[plain_word(word)] = value.name
        return values

    @field_validator("templates")
    @classmethod
    def _need_a_place_for_the_value(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"{template!r} needs exactly one {{}} where the value goes")
            if "{" in _PLACE.sub("", template) or "}" in _PLACE.sub("", template):
                raise ValueError(f"{template!r} has a brace without its partner")
        return templates

    @field_validator("applies_when", mode="before")
    @classmethod
    def _accept_one_word(cls, conditions: Any) -> Any:
        if isinstance(conditions, dict):
            return {
                name: [words] if isinstance(words, str) else words
                for name, words in conditions.items()
            }
        return conditions

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and isinstance(fields.get("name"), str):
            fields = {**fields}
            if not fields.get("column"):
                fields["column"] = fields["name"]
            if not fields.get("templates"):
                # The attribute's own name belongs in one prompt: "colour: navy."
                label = fields["name"].replace("_", " ").replace("{", "(").replace("}", ")")
                fields["templates"] = (*_WORD_TEMPLATES, f"{label}: {{}}.")
        return fields

    @model_validator(mode="after")
    def _refuse_words_with_two_meanings(self) -> Attribute:
        missing = {plain_word(word) for word in self.unknown}
        absent = {plain_word(word) for word in self.not_applicable_words}
        for word in self.not_applicable_words[:1] if self.not_applicable else ():
            if plain_word(word) in missing:
                raise ValueError(f"not_applicable: {word!r} is also one of the unknown words")
        for value in self.values or ():
            for word in value.words:
                if plain_word(word) in missing:
                    raise ValueError(
                        f"values: {word!r} is also one of the unknown words that mean "
                        f"'missing'; list the attribute's own 'unknown' words without it"
                    )
                if plain_word(word) in absent:
                    raise ValueError(f"values: {word!r} also means 'not applicable'")
                if self.multiple and self.separator.strip() and self.separator.strip() in word:
                    raise ValueError(
                        f"values: {word!r} holds the separator {self.separator!r} of several values"
                    )
        return self

    @model_validator(mode="after")
    def _refuse_unknown_candidates(self) -> Attribute:
        if self.candidates is None or self.values is None:
            return self
        names = {plain_word(word) for value in self.values for word in value.words}
        for group, values in self.candidates.values.items():
            for value in values:
                if plain_word(value) not in names:
                    raise ValueError(f"candidates: {value!r} of {group!r} is not one of the values")
        return self

    @property
    def not_applicable_words(self) -> tuple[str, ...]:
        """What is read as "not applicable", the word that is written first."""
        own = (self.not_applicable,) if self.not_applicable else ()
        return (*own, *DEFAULT_NOT_APPLICABLE)

    @property
    def named_columns(self) -> tuple[str, ...]:
        """Attributes or columns that conditions, candidates and templates look at."""
        named = list(self.applies_when)
        if self.candidates is not None:
            named.append(self.candidates.by)
        for template in self.templates:
            named.extend(template_columns(template))
        return tuple(dict.fromkeys(named))

    def means_missing(self, cell: str | None) -> bool:
        """Whether a cell says nothing: null, empty, or one of the unknown words.

        >>> [Attribute(name="colour").means_missing(cell) for cell in (None, " N/A ", "red")]
        [True, True, False]
        """
        if cell is None:
            return True
        word = plain_word(cell)
        return word == "" or word in {plain_word(unknown) for unknown in self.unknown}
