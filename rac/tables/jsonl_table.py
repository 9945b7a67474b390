"""JSON lines: one object a line; types stay what they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from rac.errors import InputError
from rac.tables.cells import JSON_CELLS, from_json
from rac.tables.jsonl_copy import dump_json, patch_object
from rac.tables.table import Table

_OPTIONAL = b"rac.optional"
_BLANK = " \t\r\n"


class JsonlTable(Table):
    """A file of JSON lines, read twice: once for the columns and types, then for the rows.

    Columns of one plain type (text, whole number, number, truth value) have that type. Columns
    with mixed types, lists or objects hold each cell as JSON text and are written back as what
    they were.
    """

    suffix = ".jsonl"

    def __init__(self, source: str, path: Path, asked: Mapping[str, str | None]) -> None:
        self._path = path
        self.suffix = path.suffix
        kinds: dict[str, set[str]] = {}
        seen: dict[str, int] = {}
        self._count = 0
        for _, row in self._objects(_no_duplicates):
            self._count += 1
            for name, value in row.items():
                kinds.setdefault(name, set()).add(_kind(value))
                seen[name] = seen.get(name, 0) + 1
        if not self._count:
            raise InputError(f"{path}: the file is empty; each line should hold a JSON object")
        schema = pa.schema([_field(name, kinds[name], seen[name] < self._count) for name in kinds])
        super().__init__(source, schema, path.parent, asked)

    def num_rows(self) -> int:
        """Give the number of objects."""
        return self._count

    def _objects(self, pairs: Any = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each object as it is written and as it is; blank lines stand before the text."""
        blank = ""
        with open(self._path, "rb") as handle:
            for line, data in enumerate(handle, start=1):
                try:
                    text = data.decode("utf-8")
                    if not text.removeprefix("\ufeff").strip(_BLANK):
                        blank += text
                        continue
                    row = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{self._path}, line {line}: {error}") from error
                if not isinstance(row, dict):
                    raise InputError(
                        f"{self._path}, line {line}: not a JSON object ({{...}}) but a {_kind(row)}"
                    )
                yield blank + text, row
                blank = ""

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        waiting: list[dict[str, Any]] = []
        for _, row in self._objects():
            waiting.append(row)
            if len(waiting) >= size:
                yield self._batch(waiting)
                waiting = []
        if waiting:
            yield self._batch(waiting)

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        columns = []
        for field in self.schema:
            cells = [row.get(field.name) for row in rows]
            if JSON_CELLS in (field.metadata or {}):
                cells = [None if cell is None else dump_json(cell) for cell in cells]
            columns.append(pa.array(cells, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        as_json = {field.name for field in schema if JSON_CELLS in (field.metadata or {})}
        optional = {field.name for field in schema if _OPTIONAL in (field.metadata or {})}
        originals = self._objects()
        written = "\n"
        with open(path, "w", encoding="utf-8", newline="") as handle:
            for batch in batches:
                for row in batch.to_pylist():
                    text, old = next(originals, (None, {}))
                    for name in as_json:
                        row[name] = from_json(row[name])
                    # A key that the object never had is not given it for the sake of the others.
                    unasked = optional if text is None else set(self.columns) - set(old)
                    for name in unasked & set(row):
                        if row[name] is None:
                            del row[name]
                    if not written.endswith("\n"):
                        handle.write("\n")
                    written = (
                        dump_json(row) + "\n" if text is None else patch_object(text, old, row)
                    )
                    handle.write(written)


def _field(name: str, kinds: set[str], sometimes_absent: bool) -> pa.Field:
    metadata: dict[bytes, bytes] = {}
    plain = kinds - {"null"}
    if not plain:
        kind = pa.string()
    elif len(plain) == 1 and (only := next(iter(plain))) in _ARROW:
        kind = _ARROW[only]
    else:
        kind = pa.string()
        metadata[JSON_CELLS] = b"1"
    if sometimes_absent and "null" not in kinds:
        metadata[_OPTIONAL] = b"1"
    return pa.field(name, kind, metadata=metadata or None)


_ARROW = {
    "text": pa.string(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "truth value": pa.bool_(),
}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int):
        return "whole number" if -(2**63) <= value < 2**63 else "large number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        # A lone surrogate is legal in JSON and cannot be stored as UTF-8.
        return "text" if value.isascii() or _is_utf8(value) else "odd text"
    return "list" if isinstance(value, list) else "object"


def _is_utf8(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {name!r} occurs twice in one object")
    return row
