"""The file of a memory's rows: an Arrow file, mapped and validated before a row is used."""

from __future__ import annotations

import struct
from pathlib import Path

import pyarrow as pa

from retrieval_index.files import open_regular
from retrieval_index.rows import COLUMNS

#: What an Arrow file begins with; a stream of messages follows.
_MAGIC = b"ARROW1\0\0"
#: Places among the fields of a message, a dictionary and a record batch, as Arrow defines them.
_HEADER_FIELD = 2
_DATA_FIELD = 1
_COMPRESSION_FIELD = 3


class BadRowFile(ValueError):
    """A file is no Arrow file of a memory's rows; the message says why."""


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write rows as an Arrow file, uncompressed, so that it can be mapped."""
    with pa.ipc.new_file(str(path), rows.schema) as table:
        table.write_table(rows)


def read_rows(path: Path) -> pa.Table:
    """Map the rows of a file, after a check of every offset and every string.

    Raises:
        BadRowFile: it is damaged, compressed, or lacks one of ``COLUMNS``; or an id is null.
    """
    try:
        open_regular(path).close()
        with pa.memory_map(str(path)) as source:
            data = source.read_buffer()
        if data.slice(0, len(_MAGIC)).to_pybytes() != _MAGIC:
            raise BadRowFile("is not an Arrow file")
        # What the file says behind its rows of where they lie is not needed, and not believed.
        stream = data.slice(len(_MAGIC))
        _refuse_compressed(stream)
        rows = pa.ipc.open_stream(pa.BufferReader(stream)).read_all()
        rows.validate(full=True)
    except BadRowFile:
        raise
    except Exception as fault:
        # Arrow's own errors, and whatever a type that another package has registered raises.
        raise BadRowFile(f"not a readable table ({fault})") from fault
    if tuple(rows.column_names[: len(COLUMNS)]) != COLUMNS:
        raise BadRowFile(f"holds the columns {rows.column_names}, not {list(COLUMNS)} first")
    if len(set(rows.column_names)) != rows.num_columns:
        raise BadRowFile(f"names a column twice among {rows.column_names}")
    for name in COLUMNS:
        if rows.schema.field(name).type != pa.string():
            raise BadRowFile(f"column {name!r} holds {rows.schema.field(name).type}, not strings")
    if rows.column("id").null_count:
        raise BadRowFile("an id is null")
    return rows


def _refuse_compressed(stream: pa.Buffer) -> None:
    """Refuse a compressed table: it would be unpacked to whatever size it announces."""
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(stream)):
        if message.type == "schema":
            continue
        if message.type not in ("record batch", "dictionary"):
            raise BadRowFile(f"holds a {message.type}, which is no part of a table")
        if _is_compressed(message.metadata, of_dictionary=message.type == "dictionary"):
            raise BadRowFile("holds compressed rows, which rac never writes")


def _is_compressed(metadata: pa.Buffer, *, of_dictionary: bool) -> bool:
    """Say whether the message of a record batch names a compression (FlatBuffers encoding)."""
    data = memoryview(metadata)
    batch = _table(data, _table(data, 0), _HEADER_FIELD)
    if of_dictionary:
        batch = _table(data, batch, _DATA_FIELD)
    return _field(data, batch, _COMPRESSION_FIELD) is not None


def _table(data: memoryview, table: int, number: int | None = None) -> int:
    """Give where a table lies that a field of another refers to; or the outermost one."""
    field = table if number is None else _field(data, table, number)
    if field is None:
        raise BadRowFile("holds a message without content")
    place: int = field + struct.unpack_from("<I", data, field)[0]
    return place


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Give where a field of a table lies, or None where the table lacks it."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, fields)[0]
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", data, fields + place)[0] if place + 2 <= size else 0
    return table + offset if offset else None
