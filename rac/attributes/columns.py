"""The attribute columns of a table: their cells as text, and the copy in which some are filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rac.attributes.attribute import Attribute
from rac.attributes.cells import CodeArray, Vocabulary, vocabulary_from_counts
from rac.attributes.schema import Schema
from rac.errors import InputError, JobFailed
from rac.tables import Table
from rac.tables.cells import JSON_CELLS

_MAX_TEXTS = 1_000_000


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
    if column not in batch.schema.names:
        return table.with_cells(batch, column, values)
    if not values:
        return batch
    place = batch.schema.get_field_index(column)
    rows = np.fromiter(values, np.int64, len(values))
    kept = np.ones(batch.num_rows, np.bool_)
    kept[rows] = False
    touched = batch.take(pa.array(rows))
    for text in DistinctCells.read(table, touched, column).texts:
        if not attribute.means_missing(text):
            raise JobFailed(f"column {column!r}: the value {text!r} would be overwritten")
    field = batch.schema.field(place)
    if _is_plain_text(table, field):
        fresh = np.full(batch.num_rows, None, object)
        fresh[rows] = list(values.values())
        cells = pc.if_else(pa.array(kept), batch.column(place), pa.array(fresh, field.type))
        filled = batch.set_column(place, field, cells)
    else:
        filled = table.with_cells(batch, column, values)
    if not _same_cells(batch.column(place), filled.column(place), pa.array(kept)):
        raise JobFailed(f"column {column!r}: cells that are not to be filled would have changed")
    return filled


class CellReader:
    """Takes in the cells of one attribute, batch by batch; gives its vocabulary and the codes."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute
        self._numbers: dict[str | None, int] = {}
        self._counts: Counter[int] = Counter()
        self._parts: list[CodeArray] = [np.zeros(0, np.int32)]

    def read(self, cells: DistinctCells) -> None:
        """Take in the next cells, in the table's order.

        Raises:
            InputError: the column holds more different texts than any attribute can use.
        """
        numbers = self._numbers
        places = np.fromiter(
            (numbers.setdefault(text, len(numbers)) for text in cells.texts), np.int32
        )
        if len(numbers) > _MAX_TEXTS:
            raise InputError(
                f"attribute {self.attribute.name!r}: column {self.attribute.column!r} holds more "
                f"than {_MAX_TEXTS:,} different texts; is it free text?"
            )
        read = places[cells.numbers] if len(places) else np.zeros(0, np.int32)
        seen, times = np.unique(read, return_counts=True)
        self._counts.update(dict(zip(seen.tolist(), times.tolist(), strict=True)))
        self._parts.append(read)

    def finish(self) -> tuple[Vocabulary, CodeArray]:
        """Give the vocabulary and the (N,) codes of all cells read.

        Raises:
            InputError: the column holds more different values than an attribute can have.
        """
        counts = {text: self._counts[number] for text, number in self._numbers.items()}
        vocabulary = vocabulary_from_counts(self.attribute, counts)
        read = np.concatenate(self._parts)
        return vocabulary, vocabulary.codes(self._numbers)[read] if len(read) else read


@dataclass(frozen=True)
class DistinctCells:
    """N cells as their different texts and who has which.

    Attributes:
        texts: the different texts; None for cells without one.
        numbers: (N,) place in ``texts``.
    """

    texts: Sequence[str | None]
    numbers: CodeArray

    @classmethod
    def of(cls, cells: Sequence[str | None]) -> DistinctCells:
        """Tell N texts apart."""
        places: dict[str | None, int] = {}
        numbers = np.fromiter((places.setdefault(cell, len(places)) for cell in cells), np.int32)
        return cls(list(places), numbers)

    @classmethod
    def read(cls, table: Table, batch: pa.RecordBatch, column: str) -> DistinctCells:
        """Read one column of a batch; all cells are None where the table has no such column."""
        if column not in batch.schema.names:
            return cls([None], np.zeros(batch.num_rows, np.int32))
        cells = batch.column(column)
        if not _is_plain_text(table, batch.schema.field(column)):
            return cls.of(table.strings(batch, column))
        told_apart = cells.dictionary_encode(null_encoding="encode")
        texts = [
            text if text is not None and text.strip() else None
            for text in told_apart.dictionary.to_pylist()
        ]
        return cls(texts, told_apart.indices.to_numpy(zero_copy_only=False).astype(np.int32))


def raw_texts(
    table: Table, batch: pa.RecordBatch, column: str, rows: npt.NDArray[np.int64]
) -> pa.Array:
    """Give some cells of a column as they are, as text; null where they or the column are not."""
    if column not in batch.schema.names:
        return pa.nulls(len(rows), pa.string())
    cells = batch.column(column).take(pa.array(rows))
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return cells.cast(pa.string())
    texts = table.strings(batch.take(pa.array(rows)), column)
    # A number that is no number is not the same as no cell.
    odd = pc.is_valid(cells).to_pylist()
    return pa.array(
        ["nan" if text is None and there else text for text, there in zip(texts, odd, strict=True)],
        pa.string(),
    )


def _is_plain_text(table: Table, field: pa.Field) -> bool:
    plain = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    return plain and JSON_CELLS not in (field.metadata or {})


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
