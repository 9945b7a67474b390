"""What a recipe hands over: a schema, and for each split its rows as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Built:
    """Tables that a recipe made.

    Args:
        fields: column name to Arrow type, in order.
        splits: split name to a function that starts its rows.
        base: the folder that relative image paths start from; None where images are bytes.
    """

    fields: Mapping[str, pa.DataType]
    splits: Mapping[str, Callable[[], Rows]]
    base: Path | None = None
