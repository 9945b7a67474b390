"""Context columns: those that attributes look at without being attributes themselves."""

from __future__ import annotations

import pyarrow as pa

from rac.attributes.attribute import Attribute
from rac.attributes.columns import CellReader, check_columns
from rac.attributes.schema import Schema
from rac.errors import InputError
from rac.tables import Table


def context_readers(schema: Schema, table: Table) -> dict[str, CellReader]:
    """Give readers for the columns that conditions, candidates and prompts name.

    Raises:
        InputError: the table has no such column, or it cannot hold words.
    """
    readers = {}
    for name in schema.context_columns:
        users = [one.name for one in schema.attributes.values() if name in one.named_columns]
        if name not in table.columns:
            raise InputError(
                f"attribute {users[0]!r}: it looks at {name!r}, which is neither an attribute nor "
                f"a column; the columns are: {', '.join(map(repr, table.columns))}"
            )
        attribute = Attribute(name=name)
        kind = pa.schema([table.schema.field(name)])
        check_columns(Schema(attributes={name: attribute.model_dump(exclude={"name"})}), kind, {})
        readers[name] = CellReader(attribute)
    return readers
