"""A table: items with images and attributes, read as a stream of Arrow batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rac.errors import InputError
from rac.tables.cells import cell_image, class_names, column_texts, hf_features, set_cells
from rac.tables.columns import DEFAULT_NAMES, Columns, check_names, find_columns, missing_column

_FIRST_ROW = b"rac.first_row"


@dataclass(frozen=True)
class Item:
    """One row, as far as its roles go.

    Args:
        id: the cell of the id column, or the row number (from 0) where there is no such column.
        image: encoded bytes, a path or a URL; None where the cell is empty.
        label: the class; None where the cell is empty.
        text: the snippet; None where the cell is empty.
    """

    id: str
    image: str | bytes | None
    label: str | None
    text: str | None


class Table(ABC):
    """Rows with named columns; what is held in memory does not grow with their number.

    A new format writes ``_read`` and ``_write``.

    Args:
        source: what the user called the table; messages call it so.
        schema: the raw columns.
        base: the folder that relative image paths start from.
        asked: columns asked for by role (image, label, text, id).
        preferred: the roles that the table itself names.

    Raises:
        InputError: a column asked for is not there, or two columns have the same name.
    """

    suffix: str
    """What ``write_like`` puts behind the file's name; empty where it writes a folder."""

    def __init__(
        self,
        source: str,
        schema: pa.Schema,
        base: Path | None,
        asked: Mapping[str, str | None],
        preferred: Columns | None = None,
    ) -> None:
        self.source = source
        self.schema = schema
        self.base = base
        self.columns: tuple[str, ...] = tuple(schema.names)
        check_names(self.columns, source)
        if preferred is None:
            pictures = [
                name for name, kind in hf_features(schema).items() if kind.get("_type") == "Image"
            ]
            preferred = Columns(image=pictures[0] if pictures else None)
        self.roles = find_columns(self.columns, source, preferred=preferred, **asked)
        self._class_names = class_names(schema)

    @abstractmethod
    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of the schema's columns, at most ``size`` rows each."""

    @abstractmethod
    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches of ``schema`` to ``path`` in this table's format."""

    def num_rows(self) -> int | None:
        """Give the number of rows; None where only reading to the end would tell."""
        return None

    def batches(self, size: int = 1024) -> Iterator[pa.RecordBatch]:
        """Read the table from its start, all columns, cells as they are stored.

        Args:
            size: most rows in a batch; batches with large cells hold fewer.

        Raises:
            InputError: a row cannot be read; the message names the place.
        """
        if size < 1:
            raise ValueError(f"a batch holds at least one row, not {size}")
        row = 0
        for batch in self._read(size):
            metadata = {**(batch.schema.metadata or {}), _FIRST_ROW: str(row).encode()}
            yield batch.replace_schema_metadata(metadata)
            row += batch.num_rows

    def items(self, batch: pa.RecordBatch, first_row: int | None = None) -> list[Item]:
        """Give the roles of a batch's rows.

        Args:
            batch: (N rows) as ``batches`` yields it.
            first_row: row number of the batch's first row; None takes the number that
                ``batches`` noted. Needed for slices of a batch when the table has no id column.

        Returns:
            N items.
        """
        count = batch.num_rows
        roles = self.roles
        if first_row is None:
            noted = (batch.schema.metadata or {}).get(_FIRST_ROW)
            if noted is None and roles.id is None:
                raise ValueError("ids are row numbers here; say first_row for a batch without one")
            first_row = int(noted or 0)
        numbers = [str(first_row + row) for row in range(count)]
        nothing: list[str | None] = [None] * count
        ids = self.strings(batch, roles.id) if roles.id else nothing
        labels = self.strings(batch, roles.label) if roles.label else nothing
        texts = self.strings(batch, roles.text) if roles.text else nothing
        images = batch.column(roles.image).to_pylist() if roles.image else nothing
        return [
            Item(ident if ident is not None else f"row:{number}" if roles.id else number,
                 cell_image(image), label, text)
            for ident, number, image, label, text in zip(
                ids, numbers, images, labels, texts, strict=True
            )
        ]  # fmt: skip

    def strings(self, batch: pa.RecordBatch, column: str) -> list[str | None]:
        """Give one column of a batch as texts, whatever its type.

        Class numbers become class names; empty cells (null, not-a-number, white space) None.

        Raises:
            InputError: there is no such column.
        """
        if column not in batch.schema.names:
            raise missing_column(column, batch.schema.names, self.source)
        place = batch.schema.get_field_index(column)
        return column_texts(
            batch.column(place), batch.schema.field(place), self._class_names.get(column)
        )

    def with_cells(
        self, batch: pa.RecordBatch, column: str, values: Mapping[int, str]
    ) -> pa.RecordBatch:
        """Set cells of one column, in the column's own type; every other cell stays as it is.

        Args:
            batch: (N rows).
            column: a column of the batch, or a new one, which is appended as text.
            values: row of the batch (0 to N - 1) to its new text.

        Raises:
            InputError: a text does not fit the column's type.
        """
        if column not in batch.schema.names:
            cells = [values.get(row) for row in range(batch.num_rows)]
            return pa.RecordBatch.from_arrays(
                [*batch.columns, pa.array(cells, pa.string())],
                schema=batch.schema.append(pa.field(column, pa.string())),
            )
        place = batch.schema.get_field_index(column)
        field = batch.schema.field(place)
        cells = set_cells(
            batch.column(place), field, values, self._class_names.get(column), self.source
        )
        arrays = list(batch.columns)
        arrays[place] = cells
        return pa.RecordBatch.from_arrays(
            arrays, schema=batch.schema.set(place, field.with_type(cells.type))
        )

    def require(self, role: str) -> str:
        """Give the column of a role (image, label, text, id) that cannot be done without.

        Raises:
            InputError: no column has that role; the message lists the columns there are.
        """
        name = getattr(self.roles, role)
        if name is None:
            raise InputError(
                f"{self.source}: which column is the {role}? Say it with --{role}; the columns "
                f"are: {', '.join(map(repr, self.columns)) or 'none'}. (Taken unasked: "
                f"{', '.join(DEFAULT_NAMES[role])}.)"
            )
        return str(name)


def without_row_number(schema: pa.Schema) -> pa.Schema:
    """Take the note of ``Table.batches`` out of a batch's schema."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != _FIRST_ROW}
    return schema.with_metadata(metadata or None)
