"""What the stream gives: rows with their embeddings.

Shapes: N rows, D embedding dimensions, T trunk dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.encoders.base import FloatArray
from rac.tables import Item


@dataclass(frozen=True)
class EmbeddedBatch:
    """Consecutive rows of a table with their embeddings.

    Attributes:
        rows: the cells of all columns as the table has them.
        items: N items (id, image cell, label, text).
        embedding: (N, D) float32, unit norm; zeros where not ``ok``.
        trunk: (N, T) float32; zeros where not ``ok``.
        ok: (N,) bool, whether the image could be read.
        reasons: N reasons, each None or ``<reason>: <detail>``.
        hashes: N SHA-256 of the image's bytes, None where there were none to read.
    """

    rows: pa.RecordBatch
    items: list[Item]
    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    reasons: list[str | None]
    hashes: list[str | None]


@dataclass(frozen=True)
class Features:
    """All rows of a table in memory; the attributes are those of :class:`EmbeddedBatch`."""

    items: list[Item]
    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
    reasons: list[str | None]
    hashes: list[str | None]

    def space(self, name: str) -> FloatArray:
        """Give the (N, D) ``embedding`` or the (N, T) ``trunk`` features by that name."""
        if name not in ("embedding", "trunk"):
            raise ValueError(f"features are 'embedding' or 'trunk', not {name!r}")
        return self.embedding if name == "embedding" else self.trunk
