"""Prediction files: our own Parquet, and any table with id, label and prediction.

Our own file is Parquet with the columns id, label, prediction, and where there are confidence,
scores, base_scores, retrieval_scores (lists of C floats), neighbour_ids, neighbour_labels,
neighbour_scores, neighbour_images (lists of K) and image. What is said once for all rows (name,
classes, training counts, metadata) is JSON under the key ``rac.predictions`` of the schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from eval.arrays import Floats, Scores
from eval.errors import ReportFault
from eval.predicted import Predictions, require_classes
from retrieval_index.files import replace_file

__all__ = [
    "PredictionFile",
    "Predictions",
    "open_predictions",
    "read_predictions",
    "write_predictions",
]

HEADER_KEY = b"rac.predictions"
HEADER_VERSION = 1
_REQUIRED = ("id", "label", "prediction")
_SCORE_COLUMNS = ("scores", "base_scores", "retrieval_scores")
_NEIGHBOUR_COLUMNS = (
    "neighbour_ids",
    "neighbour_labels",
    "neighbour_scores",
    "neighbour_images",
)
_BLOCK_CELLS = 1 << 23

_T = TypeVar("_T")


@dataclass(frozen=True)
class PredictionFile:
    """An opened prediction file, whose rows can be read block by block.

    Attributes:
        path: the file.
        name: the run's name.
        classes: (C,) in the order of the score columns.
        train_counts: training rows by class, or None where unknown.
        image_folder: where relative image paths start.
        metadata: provenance.
    """

    path: Path
    name: str
    classes: tuple[str, ...]
    train_counts: tuple[int, ...] | None
    image_folder: str | None
    metadata: Mapping[str, object]

    def blocks(self) -> Iterator[Predictions]:
        """Read the file in blocks of rows, in order; memory does not grow with the rows.

        Ids are checked for duplicates within a block only.
        """
        if self.path.suffix.lower() == ".csv":
            yield self._predictions(_read_csv(self.path))
            return
        rows = max(1, min(1 << 16, _BLOCK_CELLS // max(1, len(self.classes))))
        with pq.ParquetFile(self.path) as file:
            columns = [name for name in file.schema_arrow.names if name in _READ]
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                yield self._predictions(pa.Table.from_batches([batch]))

    def read(self) -> Predictions:
        """Read the whole file into memory."""
        if self.path.suffix.lower() == ".csv":
            return self._predictions(_read_csv(self.path))
        names = [name for name in pq.read_schema(self.path).names if name in _READ]
        return self._predictions(pq.read_table(self.path, columns=names))

    def _predictions(self, table: pa.Table) -> Predictions:
        def lists(name: str) -> list[list[str | None]] | None:
            return _column(table, name, _text_lists)

        return Predictions(
            name=self.name,
            ids=_texts(table, "id"),
            labels=_texts(table, "label"),
            predictions=_texts(table, "prediction"),
            classes=self.classes,
            confidence=_confidence(table, self.path),
            train_counts=None
            if self.train_counts is None
            else np.array(self.train_counts, dtype=np.int64),
            scores=_scores(table, "scores", len(self.classes), self.path),
            base_scores=_scores(table, "base_scores", len(self.classes), self.path),
            retrieval_scores=_scores(table, "retrieval_scores", len(self.classes), self.path),
            neighbour_ids=lists("neighbour_ids"),
            neighbour_labels=lists("neighbour_labels"),
            neighbour_scores=_column(table, "neighbour_scores", lambda c: c.to_pylist()),
            neighbour_images=lists("neighbour_images"),
            images=_texts(table, "image") if "image" in table.column_names else None,
            image_folder=self.image_folder,
            metadata=self.metadata,
        )


_READ = (*_REQUIRED, "confidence", *_SCORE_COLUMNS, *_NEIGHBOUR_COLUMNS, "image")


def write_predictions(predictions: Predictions, path: str | Path) -> Path:
    """Write predictions as one Parquet file, whole or not at all.

    Args:
        predictions: checked already, by being created.
        path: the file to write or replace; ``.parquet``.

    Raises:
        ReportFault: the path does not end in ``.parquet``, or metadata is not JSON.
    """
    target = Path(path)
    if target.suffix.lower() != ".parquet":
        raise ReportFault(f"{target}: prediction files are written as .parquet")
    counts = predictions.train_counts
    header = {
        "version": HEADER_VERSION,
        "name": predictions.name,
        "classes": list(predictions.classes),
        "train_counts": None if counts is None else [int(count) for count in counts],
        "image_folder": predictions.image_folder,
        "metadata": dict(predictions.metadata),
    }
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as fault:
        raise ReportFault(f"metadata of predictions must be JSON values: {fault}") from fault
    step = max(1, min(1 << 16, _BLOCK_CELLS // max(1, len(predictions.classes))))
    first = to_table(predictions, 0, step)
    schema = first.schema.with_metadata({HEADER_KEY: text.encode()})
    with replace_file(target) as draft, pq.ParquetWriter(draft, schema) as writer:
        writer.write_table(first.cast(schema))
        for start in range(step, len(predictions), step):
            writer.write_table(to_table(predictions, start, start + step).cast(schema))
    return target


def read_predictions(
    path: str | Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    train_counts: Mapping[str, int] | None = None,
) -> Predictions:
    """Read a prediction file whole; see :func:`open_predictions`."""
    return open_predictions(path, name=name, classes=classes, train_counts=train_counts).read()


def open_predictions(
    path: str | Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    train_counts: Mapping[str, int] | None = None,
) -> PredictionFile:
    """Open our own Parquet file, or any ``.csv`` or ``.parquet`` with id, label and prediction.

    In a CSV an empty cell is "unknown" (label) or "none made" (prediction); every other text is a
    class, ``NA`` and ``null`` too. Whole numbers are fine as labels; floats are refused, since two
    large ids can be one float.

    Args:
        path: the file, or a folder that holds ``predictions.parquet``.
        name: the run's name; by default the file's own, or its stem.
        classes: the classes in the order of the score columns; by default the file's own, or the
            sorted names that occur in it and in ``train_counts``.
        train_counts: training rows by class, in place of the file's own; a class that is not named
            has none.

    Raises:
        ReportFault: no such file, not such a table, a column missing, or classes that contradict.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "predictions.parquet"
    if not file.is_file():
        raise ReportFault(f"{file}: there is no such file; give a .csv or .parquet of predictions")
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ReportFault(f"{file}: predictions are read from .csv or .parquet")
    try:
        schema = _read_csv(file).schema if suffix == ".csv" else pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as fault:
        raise ReportFault(f"{file}: not a readable {suffix} file ({fault})") from fault
    _require_columns(schema, file)
    header = _header(schema, file)
    known: Sequence[str] | None = classes
    if known is None and header is not None:
        known = header.classes
    if known is None:
        if any(column in schema.names for column in _SCORE_COLUMNS):
            raise ReportFault(
                f"{file}: has scores but does not say in which order its classes are; name the "
                "classes in the order of the scores (--classes)"
            )
        known = sorted(_names_in(file) | set(train_counts or {}))
    require_classes(known)
    counts = header.train_counts if header is not None else None
    if train_counts is not None:
        unknown = sorted(set(train_counts) - set(known))
        if unknown:
            raise ReportFault(
                f"the training counts name {unknown[0]!r}, which is not among the "
                f"{len(known)} classes of {file}"
            )
        counts = tuple(train_counts.get(label, 0) for label in known)
    return PredictionFile(
        path=file,
        name=name or (header.name if header else file.stem),
        classes=tuple(known),
        train_counts=counts,
        image_folder=header.image_folder if header else None,
        metadata=header.metadata if header else {},
    )


def to_table(
    predictions: Predictions, start: int = 0, stop: int | None = None, *, scores: bool = True
) -> pa.Table:
    """Rows ``start`` to ``stop`` of predictions as an Arrow table, with or without the scores."""
    rows = slice(start, stop)
    strings = pa.list_(pa.string())
    columns: dict[str, pa.Array] = {
        "id": pa.array(predictions.ids[rows], pa.string()),
        "label": pa.array(predictions.label_cells[rows], pa.string()),
        "prediction": pa.array(predictions.predictions[rows], pa.string()),
    }
    if predictions.confidence is not None:
        sure = np.asarray(predictions.confidence[rows], dtype=np.float64)
        columns["confidence"] = pa.array(sure, mask=np.isnan(sure))
    for name in _SCORE_COLUMNS if scores else ():
        matrix: Scores | None = getattr(predictions, name)
        if matrix is not None:
            block = np.ascontiguousarray(matrix[rows], dtype=np.float32)
            columns[name] = pa.FixedSizeListArray.from_arrays(
                pa.array(block.reshape(-1)), len(predictions.classes)
            )
    for name in _NEIGHBOUR_COLUMNS:
        cells = getattr(predictions, name)
        if cells is None:
            continue
        if name == "neighbour_scores":
            near = [[float(score) for score in row] for row in cells[rows]]
            columns[name] = pa.array(near, pa.list_(pa.float32()))
        else:
            columns[name] = pa.array([list(row) for row in cells[rows]], strings)
    if predictions.images is not None:
        columns["image"] = pa.array(list(predictions.images[rows]), pa.string())
    return pa.table(columns)


@dataclass(frozen=True)
class _Header:
    name: str
    classes: tuple[str, ...]
    train_counts: tuple[int, ...] | None
    image_folder: str | None
    metadata: Mapping[str, object]


def _header(schema: pa.Schema, file: Path) -> _Header | None:
    text = (schema.metadata or {}).get(HEADER_KEY)
    if text is None:
        return None
    try:
        said = json.loads(text)
        version = said["version"]
        if version != HEADER_VERSION:
            raise ReportFault(
                f"{file}: written in version {version} of the prediction format; this program "
                f"reads version {HEADER_VERSION}"
            )
        counts = said["train_counts"]
        return _Header(
            name=str(said["name"]),
            classes=tuple(said["classes"]),
            train_counts=None if counts is None else tuple(int(count) for count in counts),
            image_folder=said.get("image_folder"),
            metadata=dict(said.get("metadata") or {}),
        )
    except (KeyError, TypeError, json.JSONDecodeError) as fault:
        raise ReportFault(f"{file}: its rac.predictions metadata is damaged ({fault!r})") from fault


def _require_columns(schema: pa.Schema, file: Path) -> None:
    missing = [name for name in _REQUIRED if name not in schema.names]
    if missing:
        raise ReportFault(
            f"{file}: has no column {missing[0]!r}; it has {', '.join(schema.names) or 'none'}"
        )
    for name in _REQUIRED:
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        fine = (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_null(kind)
        )
        if not fine:
            raise ReportFault(
                f"{file}: column {name!r} is of type {kind}; it must hold text or whole numbers"
            )


def _names_in(file: Path) -> set[str]:
    if file.suffix.lower() == ".csv":
        table = _read_csv(file)
    else:
        table = pq.read_table(file, columns=["label", "prediction"])
    names: set[str] = set()
    for column in ("label", "prediction"):
        distinct = pc.unique(table.column(column).cast(pa.string()))
        names.update(name for name in distinct.to_pylist() if name is not None)
    return names


def _read_csv(file: Path) -> pa.Table:
    with pyarrow.csv.open_csv(file) as reader:
        names = reader.schema.names
    read = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=[name for name in names if name in _CSV_READ],
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    return pyarrow.csv.read_csv(file, convert_options=read)


_CSV_READ = (*_REQUIRED, "confidence", "image")


def _texts(table: pa.Table, name: str) -> list[str]:
    cells: list[str] = table.column(name).cast(pa.string()).to_pylist()
    return cells


def _column(table: pa.Table, name: str, read: Callable[[pa.ChunkedArray], _T]) -> _T | None:
    return read(table.column(name)) if name in table.column_names else None


def _text_lists(column: pa.ChunkedArray) -> list[list[str | None]]:
    return [[] if row is None else row for row in column.to_pylist()]


def _confidence(table: pa.Table, file: Path) -> Floats | None:
    if "confidence" not in table.column_names:
        return None
    column = table.column("confidence")
    try:
        cells: Floats = column.cast(pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowInvalid as fault:
        raise ReportFault(f"{file}: column 'confidence' must hold numbers ({fault})") from fault
    return cells


def _scores(table: pa.Table, name: str, classes: int, file: Path) -> Scores | None:
    if name not in table.column_names:
        return None
    column = table.column(name)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~(lengths == classes))
    if wrong.size:
        row = int(wrong[0])
        raise ReportFault(
            f"{file}: row {row + 1}, column {name!r}: {lengths[row]} scores for {classes} classes"
        )
    flat = pc.list_flatten(column).cast(pa.float32())
    values: Scores = flat.to_numpy().astype(np.float32, copy=False)
    return values.reshape(len(column), classes)
