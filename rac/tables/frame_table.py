"""What a program holds in memory as a table: data frames, data sets, sequences of images.

pandas, polars and Hugging Face ``datasets`` go in, and everything else that gives itself as Arrow
(``__arrow_c_stream__``): tables of pyarrow, relations of duckdb and so on. None of these packages
is imported here; what is not installed cannot come in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from rac.errors import InputError
from rac.tables.cells import cell_text
from rac.tables.columns import Columns, check_names
from rac.tables.datasets_table import dataset_batches
from rac.tables.parquet_table import write_parquet
from rac.tables.picture_cells import CELL, PictureColumn, is_picture
from rac.tables.table import Table

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image

FrameKind = Literal["pandas", "polars", "datasets", "arrow", "images"]


class ArrowStream(Protocol):
    """What gives itself as a stream of Arrow batches (the Arrow PyCapsule interface)."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give the capsule."""


Frame: TypeAlias = "ArrowStream | Dataset | Image | bytes | np.ndarray[Any, Any] | Sequence[object]"
"""What :class:`FrameTable` takes; a pandas ``DataFrame`` gives itself as Arrow too."""

_WHOLE = {
    "pandas": "the DataFrame",
    "polars": "the DataFrame",
    "datasets": "the Dataset",
    "arrow": "the Arrow table",
    "images": "the images",
}
# Pictures are written down batch by batch.
_PICTURES = 64
_IMAGE = "image"

_Cells: TypeAlias = pa.ChunkedArray | PictureColumn


def frame_kind(source: object) -> FrameKind | None:
    """Tell what a program has given; None for what is no frame, such as a path.

    >>> frame_kind(pa.table({"image": ["a.png"]})), frame_kind([b"..."]), frame_kind("items.csv")
    ('arrow', 'images', None)
    """
    origins = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(source).__mro__}
    for package in ("pandas", "polars"):
        if (package, "DataFrame") in origins:
            return package
        if (package, "Series") in origins:
            return "images"
    if ("datasets", "Dataset") in origins:
        return "datasets"
    if isinstance(source, list | tuple | bytes | np.ndarray) or ("PIL", "Image") in origins:
        return "images"
    if isinstance(source, str | Path):
        return None
    return "arrow" if hasattr(source, "__arrow_c_stream__") else None


class FrameTable(Table):
    """A frame, a data set or a sequence of images of this program.

    Images are paths (relative ones start in the working folder), URLs, encoded bytes, Hugging Face
    images, pictures of PIL, or uint8 arrays (H, W), (H, W, 3) and (H, W, 4). A column of pictures
    or arrays is the image column, unless another is asked for.

    A pandas index that has a name is a column of that name. Columns of mixed kinds are read as
    text. The frame itself is never changed.

    Attributes:
        frame: what the program holds.
        kind: of frame.

    Args:
        frame: what the program holds.
        asked: columns asked for by role.
        added: columns of N cells besides those of the frame, which they replace.

    Raises:
        InputError: it is none of the above, a column asked for is not there, two columns have the
            same name, or a cell of an image column cannot be an image.
    """

    suffix = ".parquet"

    def __init__(
        self,
        frame: Any,
        asked: Mapping[str, str | None],
        *,
        added: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        kind = frame_kind(frame)
        if kind is None:
            raise InputError(_not_a_frame(frame))
        self.frame = frame
        self.kind: FrameKind = kind
        source = _WHOLE[kind]
        self._data: Any = frame if kind == "datasets" and not added else None
        self._columns: dict[str, _Cells] = {}
        metadata = None
        if self._data is not None:
            schema = frame.features.arrow_schema
            self._rows = len(frame)
        else:
            columns = _read_columns(frame, kind, source)
            for name, cells in (added or {}).items():
                columns = [column for column in columns if column[0] != name]
                columns.append((name, pa.chunked_array([_plain(list(cells), None)])))
            check_names([name for name, _ in columns], source)
            self._columns = dict(columns)
            lengths = {len(cells) for cells in self._columns.values()}
            if len(lengths) > 1:
                raise InputError(
                    f"{source}: columns of {sorted(lengths)} cells cannot be one table"
                )
            self._rows = max(lengths, default=0)
            if kind in ("arrow", "datasets"):
                metadata = _arrow_schema(frame).metadata
            schema = pa.schema(
                [(name, _type_of(cells)) for name, cells in columns], metadata=metadata
            )
        pictures = [
            name for name, cells in self._columns.items() if isinstance(cells, PictureColumn)
        ]
        preferred = Columns(image=pictures[0]) if pictures else None
        super().__init__(source, schema, Path.cwd(), asked, preferred)

    def num_rows(self) -> int:
        """Give the number of rows."""
        return self._rows

    @property
    def largest_picture(self) -> int:
        """Bytes of the largest picture or array among the cells, as it will be read."""
        columns = self._columns.values()
        return max((one.largest for one in columns if isinstance(one, PictureColumn)), default=0)

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        if self._data is not None:
            yield from dataset_batches(self._data, self.schema, size)
            return
        if any(isinstance(cells, PictureColumn) for cells in self._columns.values()):
            size = min(size, _PICTURES)
        for start in range(0, self._rows, size):
            yield pa.RecordBatch.from_arrays(
                [_slice(cells, start, size) for cells in self._columns.values()],
                schema=self.schema,
            )

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        write_parquet(path, schema, batches)


def _not_a_frame(given: object) -> str:
    name = type(given).__name__
    if name in ("DatasetDict", "IterableDatasetDict"):
        splits = ", ".join(map(repr, given))  # type: ignore[call-overload]
        return f"a {name} has several splits; give one of them: {splits}"
    hints = {
        "IterableDataset": "give the Dataset, or open_table('hub:NAME')",
        "LazyFrame": "give the frame that .collect() makes of it",
        "dict": "make a DataFrame of it",
    }
    hint = hints.get(name, "give a DataFrame, a Dataset, an Arrow table or a sequence of images")
    return f"{name} cannot be read as a table: {hint}"


def _read_columns(frame: Any, kind: FrameKind, source: str) -> list[tuple[str, _Cells]]:
    if kind == "pandas":
        return _of_pandas(frame, source)
    if kind == "polars":
        return _of_polars(frame, source)
    if kind == "images":
        return [(_IMAGE, PictureColumn(_images(frame), source))]
    table = _arrow_table(frame)
    return [
        (name, _without_views(column))
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]


def _arrow_table(frame: Any) -> pa.Table:
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    return frame.with_format("arrow")[:]


def _arrow_schema(frame: Any) -> pa.Schema:
    return frame.features.arrow_schema if hasattr(frame, "features") else pa.table(frame).schema


def _images(given: Any) -> Sequence[object]:
    """Give a sequence of images, or one image, as a list."""
    if isinstance(given, np.ndarray) and given.dtype != object:
        # (H, W), and (H, W, 3): one image.
        alone = given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (3, 4))
        return [given] if alone else list(given)
    if isinstance(given, bytes) or hasattr(given, "tobitmap"):
        return [given]
    return list(given)


def _of_pandas(frame: Any, source: str) -> list[tuple[str, _Cells]]:
    series = [(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
    index = frame.index
    if isinstance(index.name, str) and index.name not in frame.columns:
        series.insert(0, (index.name, index.to_series()))
    found: list[tuple[str, _Cells]] = []
    for name, column in series:
        if column.dtype == object:
            cells = column.tolist()
            if any(map(is_picture, cells)):
                found.append((name, PictureColumn(cells, f"{source}, column {name!r}")))
                continue
        with contextlib.suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
            plain = pa.array(column, from_pandas=True)
            found.append((name, _with_a_type(_chunked(plain))))
            continue
        absent = column.isna().tolist()
        found.append((name, _chunked(_plain(column.tolist(), absent))))
    return found


def _of_polars(frame: Any, source: str) -> list[tuple[str, _Cells]]:
    objects = [name for name, kind in frame.schema.items() if str(kind).startswith("Object")]
    table = pa.table(frame.drop(objects))
    found: list[tuple[str, _Cells]] = []
    for name in frame.columns:
        if name in objects:
            cells = frame.get_column(name).to_list()
            if any(map(is_picture, cells)):
                found.append((name, PictureColumn(cells, f"{source}, column {name!r}")))
            else:
                found.append((name, _chunked(_plain(cells, None))))
        else:
            found.append((name, _with_a_type(_without_views(table.column(name)))))
    return found


def _plain(cells: Sequence[object], absent: Sequence[object] | None) -> pa.Array:
    """Give cells as Arrow has them, or as text where their kinds are mixed.

    Args:
        cells: N cells.
        absent: N, whether each is missing; None to judge by the cells alone.
    """
    kept = cells
    if absent is not None:
        kept = [
            None if isinstance(gone, bool) and gone else cell
            for cell, gone in zip(cells, absent, strict=True)
        ]
    try:
        return _with_a_type(pa.array(kept, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([cell_text(cell) for cell in kept], pa.string())


def _with_a_type(cells: Any) -> Any:
    """Take a column without a single value for one of words: its type says nothing.

    pandas makes a column of numbers of it.
    """
    kind = cells.type
    if pa.types.is_null(kind) or (pa.types.is_floating(kind) and cells.null_count == len(cells)):
        return cells.cast(pa.string())
    return cells


def _without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Store texts and bytes in the layouts that Arrow's functions know."""
    kind = _known_type(column.type)
    if kind == column.type:
        return column
    if pa.types.is_dictionary(kind):
        chunks = [
            pa.DictionaryArray.from_arrays(
                chunk.indices.cast(kind.index_type), chunk.dictionary.cast(kind.value_type)
            )
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, kind)
    return column.cast(kind)


def _known_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_dictionary(kind):
        value = _known_type(kind.value_type)
        return kind if value == kind.value_type else pa.dictionary(pa.int32(), value)
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(_known_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_known_type(field.type)) for field in kind])
    return kind


def _chunked(cells: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])


def _type_of(cells: _Cells) -> pa.DataType:
    return CELL if isinstance(cells, PictureColumn) else cells.type


def _slice(cells: _Cells, start: int, length: int) -> pa.Array:
    part = cells.slice(start, length)
    if isinstance(part, pa.ChunkedArray):
        part = part.combine_chunks()
    return part
