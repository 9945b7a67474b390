"""What is known of each row of a memory besides its vector: a table with a fixed schema."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from retrieval_index.errors import BadRows, DuplicateId

COLUMNS = ("id", "label", "text", "source", "content_hash")
"""The columns every memory has, all strings, all but ``id`` nullable. ``source`` is the image
reference, ``content_hash`` the SHA-256 of the image's bytes."""

_SHOWN = 5


def make_rows(
    ids: Sequence[str],
    *,
    labels: Sequence[str | None] | None = None,
    texts: Sequence[str | None] | None = None,
    sources: Sequence[str | None] | None = None,
    content_hashes: Sequence[str | None] | None = None,
) -> pa.Table:
    """Make a table of rows from lists; what is left out is null.

    Raises:
        BadRows: the lists differ in length, or hold something else than strings and None.
        DuplicateId: an id occurs twice.

    >>> make_rows(["a", "b"], labels=["apple", None]).column("label").to_pylist()
    ['apple', None]
    """
    given = dict(zip(COLUMNS, (ids, labels, texts, sources, content_hashes), strict=True))
    columns = {}
    for name, values in given.items():
        if values is None:
            continue
        if len(values) != len(ids):
            raise BadRows(f"{len(ids)} ids but {len(values)} values of {name}")
        try:
            columns[name] = pa.array(values, type=pa.string())
        except (pa.ArrowTypeError, pa.ArrowInvalid) as fault:
            raise BadRows(f"column {name!r} must hold strings: {fault}") from fault
    return check_rows(pa.table(columns))


def check_rows(rows: pa.Table) -> pa.Table:
    """Check a table of rows and give it with all of ``COLUMNS`` first, as Arrow strings.

    Columns beyond those are kept as they are.

    Raises:
        BadRows: no ``id`` column, a null id, a column named twice, or one of ``COLUMNS`` that is
            not of strings.
        DuplicateId: an id occurs twice; the first few are named.
    """
    if len(set(rows.column_names)) != rows.num_columns:
        raise BadRows(f"rows: a column is named twice among {rows.column_names}")
    if "id" not in rows.column_names:
        raise BadRows(f"rows: there is no column 'id'; the columns are {rows.column_names}")
    columns = {name: _strings(rows, name) for name in COLUMNS}
    nulls = columns["id"].null_count
    if nulls:
        first = columns["id"].to_pylist().index(None)
        raise BadRows(f"rows: {nulls} of {len(rows)} ids are null, the first in row {first}")
    for name in rows.column_names:
        columns.setdefault(name, rows.column(name))
    checked = pa.table(columns).combine_chunks()
    _refuse_repeated(checked.column("id"))
    return checked


def append_rows(old: pa.Table, new: pa.Table) -> pa.Table:
    """Put new rows below old ones; both have passed ``check_rows``.

    Raises:
        BadRows: the new rows have a column that the old ones lack, or of another type.
        DuplicateId: a new id is among the old ones; the first few are named.
    """
    unknown = [name for name in new.column_names if name not in old.column_names]
    if unknown:
        raise BadRows(
            f"the memory has no column {unknown[0]!r}; its columns are {old.column_names}"
        )
    columns = []
    for field in old.schema:
        if field.name not in new.column_names:
            columns.append(pa.nulls(len(new), type=field.type))
        elif new.schema.field(field.name).type != field.type:
            raise BadRows(
                f"column {field.name!r} is {new.schema.field(field.name).type} in the new rows "
                f"and {field.type} in the memory"
            )
        else:
            columns.append(new.column(field.name))
    known = pc.is_in(new.column("id"), value_set=old.column("id"))
    there = new.column("id").filter(known)
    if len(there):
        raise DuplicateId(
            f"{_count(len(there), 'id')} already in the memory: {_some(there.to_pylist())}. "
            "Leave these rows out, or give them other ids"
        )
    return pa.concat_tables([old, pa.table(columns, schema=old.schema)]).combine_chunks()


def _strings(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in rows.column_names:
        return pa.chunked_array([pa.nulls(len(rows), type=pa.string())])
    column = rows.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise BadRows(f"rows: column {name!r} must hold strings, it holds {column.type}")
    return column.cast(pa.string())


def _refuse_repeated(ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counted = pc.value_counts(ids)
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist()
    raise DuplicateId(
        f"ids must be unique, {_count(len(repeated), 'id')} more than once: {_some(repeated)}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun} is" if number == 1 else f"{number} {noun}s are"


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(i) for i in ids[:_SHOWN])
    return shown if len(ids) <= _SHOWN else f"{shown} and {len(ids) - _SHOWN} more"
