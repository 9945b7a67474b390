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
    refuse_repeated(checked.column("id"))
    return checked


def like_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give rows with the columns of a memory, in its order; those they lack are null.

    Raises:
        BadRows: they have a column that the memory lacks, or of another type.
    """
    unknown = [name for name in rows.column_names if name not in schema.names]
    if unknown:
        raise BadRows(f"the memory has no column {unknown[0]!r}; its columns are {schema.names}")
    columns = []
    for field in schema:
        if field.name not in rows.column_names:
            columns.append(pa.nulls(len(rows), type=field.type))
        elif rows.schema.field(field.name).type != field.type:
            raise BadRows(
                f"column {field.name!r} is {rows.schema.field(field.name).type} in the new rows "
                f"and {field.type} in the memory"
            )
        else:
            columns.append(rows.column(field.name))
    return pa.table(columns, schema=schema)


def refuse_known(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> None:
    """Refuse ids that are in a memory already; ``known`` says of each whether it is.

    Raises:
        DuplicateId: the first few are named.
    """
    there = ids.filter(known)
    if len(there):
        raise DuplicateId(
            f"{named(there.to_pylist())} already in the memory. "
            "Leave these rows out, give them other ids, or replace them: rac index upsert"
        )


def named(ids: Sequence[str]) -> str:
    """Give the beginning of a sentence about some ids: how many, the first few of them, and is/are.

    >>> named(["a"]), named(["a", "b"])
    ("1 id ('a') is", "2 ids ('a', 'b') are")
    """
    noun, verb = ("id", "is") if len(ids) == 1 else ("ids", "are")
    return f"{len(ids)} {noun} ({_some(ids)}) {verb}"


def _strings(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in rows.column_names:
        return pa.chunked_array([pa.nulls(len(rows), type=pa.string())])
    column = rows.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise BadRows(f"rows: column {name!r} must hold strings, it holds {column.type}")
    return column.cast(pa.string())


def refuse_repeated(ids: pa.ChunkedArray) -> None:
    """Refuse ids of which one occurs twice.

    Raises:
        DuplicateId: the first few are named.
    """
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counted = pc.value_counts(ids)
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist()
    raise DuplicateId(f"ids must be unique, but {named(repeated)} there more than once")


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(i) for i in ids[:_SHOWN])
    return shown if len(ids) <= _SHOWN else f"{shown} and {len(ids) - _SHOWN} more"
