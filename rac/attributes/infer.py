"""A first schema out of a table's columns, and what a table makes of a schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from rac.attributes.attribute import DEFAULT_UNKNOWN, Attribute, plain_word
from rac.attributes.cells import MISSING, NOT_APPLICABLE, OUTSIDE, vocabulary_from_counts
from rac.attributes.columns import DistinctCells, check_columns
from rac.attributes.context_columns import context_readers
from rac.attributes.schema import FORMAT_VERSION, Schema, parse_schema
from rac.attributes.store import BATCH_ROWS, stretches
from rac.attributes.task.sample_size import smallest_sample
from rac.errors import InputError
from rac.tables import Table

_ROWS = 200_000
_MOST_VALUES = 200
_REPEATED = 2.0
_SEPARATORS = (", ", "; ", " | ", "|", ";")
_SAMPLE_WORDS = 5


def infer_schema(table: Table, *, most_values: int = _MOST_VALUES) -> str:
    """Draft a schema from the columns whose values repeat; the YAML text, to be read by a person.

    A column becomes an attribute if it holds words, has at least two values, not more than
    ``most_values``, and each stands in two rows on average. Roles (image, id, text) are left out.
    Cells with a separator between known words make it ``multiple``; a column that is filled just
    where another one says certain words gets ``applies_when``.

    Args:
        table: to look at; the first 200,000 rows are read.
        most_values: how many different values an attribute may have.

    Raises:
        InputError: no column looks like an attribute.
    """
    roles = {table.roles.image, table.roles.id, table.roles.text}
    names = [name for name in table.columns if name not in roles]
    cells: dict[str, list[str | None]] = {name: [] for name in names}
    for _, batch in stretches(table, BATCH_ROWS, limit=_ROWS):
        for name in names:
            read = DistinctCells.read(table, batch, name)
            cells[name].extend(read.texts[number] for number in read.numbers.tolist())
    drafts: dict[str, dict[str, Any]] = {}
    for name in names:
        draft = _draft(name, cells[name], most_values)
        if draft is not None:
            drafts[name] = draft
    if not drafts:
        raise InputError(
            f"{table.source}: no column looks like an attribute (words that repeat); the columns "
            f"are: {', '.join(map(repr, table.columns))}"
        )
    for name in drafts:
        condition = _condition(name, cells, drafts)
        if condition is not None:
            drafts[name]["applies_when"] = {condition[0]: list(condition[1])}
    text = yaml.safe_dump(
        {"version": FORMAT_VERSION, "attributes": drafts}, sort_keys=False, allow_unicode=True
    )
    parse_schema(text, "the drafted schema")
    return text


def _draft(name: str, cells: list[str | None], most_values: int) -> dict[str, Any] | None:
    attribute = Attribute(name=name)
    counts = Counter(cells)
    known: dict[str | None, int] = {
        text: times
        for text, times in counts.items()
        if text is not None and not attribute.means_missing(text)
    }
    if len(known) < 2 or sum(known.values()) < _REPEATED * len(known):
        return None
    draft: dict[str, Any] = {}
    for separator in _SEPARATORS:
        texts = [text for text in known if text is not None]
        single = [text for text in texts if separator.strip() not in text]
        several = [text for text in texts if separator in text]
        parts = {plain_word(part) for text in several for part in text.split(separator)}
        if several and parts <= {plain_word(text) for text in single}:
            draft = {"multiple": True, "separator": separator}
            attribute = Attribute(name=name, multiple=True, separator=separator)
            break
    try:
        vocabulary = vocabulary_from_counts(attribute, known)
    except InputError:
        return None
    single_names = [
        text
        for text in vocabulary.names
        if not (attribute.multiple and attribute.separator in text)
    ]
    if len(single_names) > most_values:
        return None
    unknown = sorted({plain_word(text) for text in counts if text} & set(DEFAULT_UNKNOWN))
    draft = {"values": single_names, **draft}
    if unknown:
        draft["unknown"] = ["", *unknown]
    return draft


def _condition(
    name: str, cells: Mapping[str, list[str | None]], drafts: Mapping[str, Any]
) -> tuple[str, tuple[str, ...]] | None:
    """Find a column with few values at some of which this one is always empty, and else rarely."""
    attribute = Attribute(name=name)
    filled = [not attribute.means_missing(text) for text in cells[name]]
    total = sum(filled) / max(1, len(filled))
    for other in drafts:
        if other == name or len(drafts[other]["values"]) > 50 or "applies_when" in drafts[other]:
            continue
        seen: Counter[str] = Counter()
        held: Counter[str] = Counter()
        for text, there in zip(cells[other], filled, strict=True):
            if text is not None and not attribute.means_missing(text):
                seen[text] += 1
                held[text] += there
        with_it = [text for text in seen if held[text]]
        without = [text for text in seen if not held[text] and seen[text] >= 10]
        rate = sum(held.values()) / max(1, sum(seen[text] for text in with_it))
        if without and with_it and rate >= max(0.3, total):
            return other, tuple(sorted(with_it))
    return None


@dataclass(frozen=True)
class AttributeCheck:
    """What a table makes of one attribute of a schema.

    Attributes:
        attribute: its name.
        column: the table's column.
        new: whether the table has no such column.
        values: how many values it can take.
        known: cells that hold one of them.
        missing: cells that say nothing.
        not_applicable: cells that say that the attribute does not apply.
        outside: cells that say something else.
        outside_words: some of these words.
        unused: values that no cell holds.
        enough: whether the known cells can vouch for the target precision.
        needed: how many it takes at least.
    """

    attribute: str
    column: str
    new: bool
    values: int
    known: int
    missing: int
    not_applicable: int
    outside: int
    outside_words: list[str]
    unused: list[str]
    enough: bool
    needed: int

    def as_json(self) -> dict[str, Any]:
        """Give the figures by name."""
        return asdict(self)


def check_schema(schema: Schema, table: Table) -> list[AttributeCheck]:
    """Hold a schema against a table.

    Raises:
        InputError: they do not fit.
    """
    roles = {"image": table.roles.image, "id": table.roles.id}
    new = check_columns(schema, table.schema, roles)
    context_readers(schema, table)
    counts: dict[str, Counter[str | None]] = {name: Counter() for name in schema.attributes}
    for _, batch in stretches(table, BATCH_ROWS):
        for name, attribute in schema.attributes.items():
            read = DistinctCells.read(table, batch, attribute.column)
            for number, times in Counter(read.numbers.tolist()).items():
                counts[name][read.texts[number]] += times
    found = []
    for name, attribute in schema.attributes.items():
        vocabulary = vocabulary_from_counts(attribute, counts[name])
        totals: Counter[int] = Counter()
        outside: Counter[str] = Counter()
        for text, times in counts[name].items():
            code = vocabulary.code(text)
            totals[code] += times
            if code == OUTSIDE and text is not None:
                outside[text] += times
        known = sum(times for code, times in totals.items() if code >= 0)
        needed = smallest_sample(attribute.target_precision)
        found.append(
            AttributeCheck(
                attribute=name,
                column=attribute.column,
                new=attribute.column in new,
                values=len(vocabulary.names),
                known=known,
                missing=totals[MISSING],
                not_applicable=totals[NOT_APPLICABLE],
                outside=totals[OUTSIDE],
                outside_words=[text for text, _ in outside.most_common(_SAMPLE_WORDS)],
                unused=[word for code, word in enumerate(vocabulary.names) if not totals[code]][
                    :_SAMPLE_WORDS
                ],
                enough=known >= needed,
                needed=needed,
            )
        )
    return found
