"""Single cells: as text, as an image, and from text back to the column's own type."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rac.errors import InputError

JSON_CELLS = b"rac.json"
"""Field metadata key of columns whose cells are JSON texts, because their types are mixed."""


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Give the class names of the columns that ``datasets`` stored as class numbers.

    >>> class_names(pa.schema([("label", pa.int64())]))
    {}
    """
    return {
        column: [str(name) for name in feature["names"]]
        for column, feature in hf_features(schema).items()
        if feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def hf_features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Read the column types that ``datasets`` leaves in a schema's metadata; empty without."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: kind for name, kind in features.items() if isinstance(kind, dict)}


def cell_text(value: Any) -> str | None:
    """Give a cell as text; None where it is empty (null, not-a-number, only white space).

    >>> cell_text(3.0), cell_text(True), cell_text(" "), cell_text(float("nan"))
    ('3', 'true', None, None)
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def cell_image(value: Any) -> str | bytes | None:
    """Give an image cell as encoded bytes, a path or URL, or None where it is empty.

    A Hugging Face image ``{bytes, path}`` gives its bytes, else its path; a list its first image.

    >>> cell_image({"bytes": None, "path": "a.png"})
    'a.png'
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if value is None or isinstance(value, bytes):
        return value or None
    return cell_text(value)


def column_texts(
    column: pa.Array, field: pa.Field, names: Sequence[str] | None
) -> list[str | None]:
    """Give a column as texts; see ``Table.strings``."""
    values = column.to_pylist()
    if names is not None:
        # datasets writes -1 where the class is not known
        return [
            names[value] if isinstance(value, int) and 0 <= value < len(names) else None
            for value in values
        ]
    if JSON_CELLS in (field.metadata or {}):
        return [cell_text(from_json(value)) for value in values]
    if pa.types.is_string(field.type):
        # As cell_text does, without a call for each of a million cells.
        return [value if value and not value.isspace() else None for value in values]
    return [cell_text(value) for value in values]


def from_json(text: str | None) -> Any:
    """Read a JSON cell; a text that is no JSON stands for itself."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def set_cells(
    column: pa.Array,
    field: pa.Field,
    values: Mapping[int, str],
    names: Sequence[str] | None,
    source: str,
) -> pa.Array:
    """Set some cells of a column from texts, in the column's type; the others stay as they are.

    Args:
        column: (N,) cells.
        field: the column's name, type and metadata.
        values: position in the column to new text.
        names: class names of a column of class numbers.
        source: how messages call the table.

    Raises:
        InputError: a text does not fit the column's type.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        plain = set_cells(column.dictionary_decode(), field, values, names, source)
        return plain.dictionary_encode().cast(kind)
    fresh = [
        _from_text(values[row], kind, field, names, source) if row in values else None
        for row in range(len(column))
    ]
    mask = pa.array([row in values for row in range(len(column))], pa.bool_())
    try:
        if pa.types.is_null(kind):
            return pa.array(fresh, pa.string())
        return pc.if_else(mask, pa.array(fresh, kind), column)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise InputError(f"{source}: column {field.name!r} holds {kind}: {error}") from error


def _from_text(
    text: str, kind: pa.DataType, field: pa.Field, names: Sequence[str] | None, source: str
) -> Any:
    types = pa.types
    if names is not None:
        if text not in names:
            known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise InputError(
                f"{source}: column {field.name!r} holds classes ({known}); {text!r} is none of them"
            )
        return list(names).index(text)
    if JSON_CELLS in (field.metadata or {}):
        return json.dumps(text, ensure_ascii=False)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
        return text
    try:
        if types.is_integer(kind):
            return int(text)
        if types.is_floating(kind):
            return float(text)
        if types.is_boolean(kind):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    except (ValueError, KeyError):
        pass
    else:
        if types.is_list(kind) or types.is_large_list(kind):
            return [_from_text(text, kind.value_type, field, None, source)]
    raise InputError(f"{source}: column {field.name!r} holds {kind}; {text!r} does not fit")
