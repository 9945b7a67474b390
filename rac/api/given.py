"""What the caller has given: opened as a table, with the way back to frames of the same kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import pyarrow as pa

from rac.images import ImageLimits
from rac.tables import Table, open_table
from rac.tables.frame_table import Frame, FrameKind, FrameTable, frame_kind
from rac.tables.imagefolder_table import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from rac.embedding import EmbeddingCache
    from rac.encoders import Encoder

Data: TypeAlias = "str | Path | Frame | Table"
"""A table's name or path, an open table, a frame, a data set, or images."""


class ColumnNames(TypedDict, total=False):
    """Columns by role; those left out are found by their names.

    Attributes:
        image: with the images.
        label: with the classes.
        text: with captions.
        id: with the items' ids; without one, row numbers (from 0) are the ids.
    """

    image: str | None
    label: str | None
    text: str | None
    id: str | None


@dataclass(frozen=True)
class Given:
    """An opened table and what it was opened from.

    Attributes:
        table: of N rows.
        limits: bounds on its images.
        data: what the caller gave.
        kind: which kind of frame that is; None for a table with a name.
    """

    table: Table
    limits: ImageLimits
    data: Any
    kind: FrameKind | None

    def frame(self, found: pa.Table) -> Any:
        """Give N rows as the kind of frame that came in: pandas, polars, datasets or Arrow.

        What came by name, or as images alone, gets a pandas frame. A pandas index goes along.
        """
        rows = as_frame(found, self.kind)
        index = getattr(self.data, "index", None)
        if hasattr(rows, "iloc") and hasattr(index, "name"):
            rows.index = index
        return rows


def take(data: Data, limits: ImageLimits | None, columns: ColumnNames) -> Given:
    """Open what the caller has given.

    Paths in a sequence of images are the caller's own words, so that they may lie anywhere; those
    in the cells of a table are data, and lie below its folder or one that ``limits`` names. The
    working folder is that of a frame.

    Raises:
        InputError: it cannot be opened, or a column is not there.
        JobFailed: the data of a card or of the hub cannot be fetched.
    """
    if isinstance(data, str | Path) and Path(data).suffix.lower() in IMAGE_SUFFIXES:
        data = [data]
    kind = data.kind if isinstance(data, FrameTable) else frame_kind(data)
    allowed = limits or ImageLimits()
    if kind == "images":
        allowed = replace(allowed, allow_outside=True)
    table = open_table(data, **columns)
    if isinstance(table, FrameTable):
        # Pictures that this program holds already are no larger for being looked at.
        most = max(allowed.max_bytes, table.largest_picture)
        allowed = replace(allowed, max_bytes=most)
    if table.base is not None:
        # A program may go to another folder meanwhile.
        table.base = table.base.absolute()
    return Given(table, allowed, table.frame if isinstance(table, FrameTable) else data, kind)


def as_frame(found: pa.Table, kind: FrameKind | None) -> Any:
    """Give an Arrow table as a frame of a kind, pandas where there is none."""
    if kind == "arrow":
        return found
    if kind == "polars":
        import polars

        return polars.from_arrow(found)
    if kind == "datasets":
        from datasets import Dataset

        return Dataset(found)
    return found.to_pandas()


def named_encoder(encoder: str | Encoder) -> Encoder:
    """Give an encoder, loaded where it is named only."""
    # Late, and by its module, like the commands do.
    import rac.encoders

    return rac.encoders.load_encoder(encoder) if isinstance(encoder, str) else encoder


@contextmanager
def opened_cache(encoder: Encoder, wanted: bool) -> Iterator[EmbeddingCache | None]:
    """Open the cache of an encoder's embeddings for the length of the block, if it is wanted."""
    from rac.embedding import EmbeddingCache

    if not wanted:
        yield None
        return
    with EmbeddingCache(encoder) as cache:
        yield cache
