"""The attribute columns of a table: their cells as text, and the copy in which some are filled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from rac.attributes.cells import CodeArray, ValueCensus, Vocabulary
from rac.attributes.schema import Attribute, Schema
from rac.errors import InputError, JobFailed
from rac.tables import Table


def check_columns(schema: Schema, table: pa.Schema, taken: Mapping[str, str | None]) -> list[str]:
    """Check that the attributes fit the table; give the columns that have to be added.

    Args:
        schema: the attributes.
        table: the table's columns.
        taken: columns that have another role already, by that role.

    Raises:
        InputError: a column cannot hold one value a cell, has another role, or stands twice.
    """
    added = []
    for name, attribute in schema.attributes.items():
        for role, column in taken.items():
            if column == attribute.column:
                raise InputError(
                    f"attribute {name!r}: column {column!r} holds the {role}s of the items"
                )
        places = table.get_all_field_indices(attribute.column)
        if len(places) > 1:
            raise InputError(
                f"attribute {name!r}: the table has {len(places)} columns called "
                f"{attribute.column!r}"
            )
        if not places:
            added.append(attribute.column)
            continue
        kind = table.field(attribute.column).type
        if pa.types.is_null(kind):
            raise InputError(
                f"attribute {name!r}: column {attribute.column!r} is empty and has no type; drop "
                "it (it is then added as text), or store it as text"
            )
        if not _holds_words(kind):
            raise InputError(
                f"attribute {name!r}: column {attribute.column!r} holds {kind}; one word or "
                "number a cell is needed"
            )
    return added


def fill_column(
    table: Table, batch: pa.RecordBatch, attribute: Attribute, values: Mapping[int, str]
) -> pa.RecordBatch:
    """Give the batch with some missing cells of one attribute filled.

    Every other cell of the column is compared with what it was before.

    Args:
        table: whose batch it is.
        batch: n rows.
        attribute: whose column; it is added at the end, as text, where the table has none.
        values: for rows in [0, n), what to write.

    Raises:
        InputError: a value cannot be written as the column's type.
        JobFailed: a cell that holds a value would have changed. No input can bring this about; a
            mistake in the program could, and then nothing is written.
    """
    column = attribute.column
    filled = table.with_cells(batch, column, values)
    if column not in batch.schema.names:
        return filled
    place = batch.schema.get_field_index(column)
    texts = table.strings(batch, column) if values else []
    kept = np.ones(batch.num_rows, np.bool_)
    for row in values:
        if not attribute.means_missing(texts[row]):
            raise JobFailed(f"column {column!r}: the value {texts[row]!r} would be overwritten")
        kept[row] = False
    if not _same_cells(batch.column(place), filled.column(place), pa.array(kept)):
        raise JobFailed(f"column {column!r}: cells that are not to be filled would have changed")
    return filled


class CellReader:
    """Takes in the cells of one attribute, batch by batch; gives its vocabulary and the codes."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute
        self._census = ValueCensus(attribute)
        self._numbers: dict[str | None, int] = {}
        self._parts = [np.zeros(0, np.int64)]
        self._known = None if attribute.values is None else Vocabulary(attribute, attribute.values)

    def read(self, cells: list[str | None]) -> None:
        """Take in the next cells, in the table's order.

        Raises:
            InputError: the column holds more different values than an attribute can have.
        """
        if self._known is not None:
            self._parts.append(self._known.codes(cells).astype(np.int64))
            return
        self._census.count(cells)
        numbers = self._numbers
        self._parts.append(
            np.fromiter((numbers.setdefault(cell, len(numbers)) for cell in cells), np.int64)
        )

    def finish(self) -> tuple[Vocabulary, CodeArray]:
        """Give the vocabulary and the (N,) codes of all cells read."""
        read = np.concatenate(self._parts)
        if self._known is not None:
            return self._known, read.astype(np.int32)
        vocabulary = self._census.vocabulary()
        return vocabulary, vocabulary.codes(self._numbers)[read]


def _holds_words(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    return any(check(kind) for check in checks)


def _same_cells(old: pa.Array, new: pa.Array, kept: pa.Array) -> bool:
    """Say whether the kept cells of two columns are the same, bit by bit."""
    if pa.types.is_dictionary(old.type):
        old, new = old.dictionary_decode(), new.dictionary_decode()
    old, new = old.filter(kept), new.filter(kept)
    if pa.types.is_floating(old.type):
        # As whole numbers, for a NaN is not equal to itself.
        bits = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[old.type.bit_width]
        old, new = old.view(bits), new.view(bits)
    same: bool = new.equals(old)
    return same
