"""What the stream gives: rows with their embeddings.

Shapes: N rows, D embedding dimensions, T trunk dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
        vectors: N pairs of an embedding (D,) and trunk features (T,); None for a bad image.
        sizes: (D, T).
        ok: (N,) bool, whether the image could be read.
        reasons: N reasons, each None or ``<reason>: <detail>``.
        hashes: N SHA-256 of the image's bytes, None where there were none to read.
    """

    rows: pa.RecordBatch
    items: list[Item]
    vectors: list[tuple[FloatArray, FloatArray] | None]
    sizes: tuple[int, int]
    ok: npt.NDArray[np.bool_]
    reasons: list[str | None]
    hashes: list[str | None]

    @cached_property
    def embedding(self) -> FloatArray:
        """(N, D) float32, unit norm; zeros where not ``ok``."""
        return self._stacked(0)

    @cached_property
    def trunk(self) -> FloatArray:
        """(N, T) float32; zeros where not ``ok``. Put together only when it is asked for."""
        return self._stacked(1)

    def _stacked(self, kind: int) -> FloatArray:
        blank = np.zeros(self.sizes[kind], np.float32)
        rows = [blank if pair is None else pair[kind] for pair in self.vectors]
        return np.stack(rows) if rows else blank.reshape(1, -1)[:0]


@dataclass(frozen=True)
class Features:
    """All rows of a table in memory; what they are, :class:`EmbeddedBatch` says."""

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
