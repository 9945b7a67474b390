"""Training rows by class, and the order of classes, from files that people have at hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eval.csv_texts import csv_columns, read_csv_texts
from eval.errors import ReportFault
from eval.image_sets import ImageSet, image_set

_LABEL_NAMES = ("label", "class")
_COUNT_NAMES = ("count", "train_count", "train_rows")


def read_train_counts(path: str | Path) -> dict[str, int]:
    """Read how many training rows each class has.

    Args:
        path: ``.json`` {class: count}; or a ``.csv`` or ``.parquet`` with a column ``label`` (or
            ``class``) and a column ``count`` (or ``train_count``, ``train_rows``), one line a
            class; or, without a column of counts, a table of training rows, which are counted.

    Raises:
        ReportFault: no such file, no such columns, a class twice, or a count that is not a whole
            number of at least 0; the place is named.
    """
    file = Path(path)
    if not file.is_file():
        raise ReportFault(f"{file}: there is no such file of training counts")
    if file.suffix.lower() == ".json":
        return _from_json(file)
    there = _columns(file)
    label = next((name for name in _LABEL_NAMES if name in there), None)
    if label is None:
        raise ReportFault(f"{file}: has no column 'label'; it has {', '.join(there) or 'none'}")
    column = next((name for name in _COUNT_NAMES if name in there), None)
    table = _read(file, [label] if column is None else [label, column])
    if pa.types.is_floating(table.column(label).type):
        raise ReportFault(f"{file}: column {label!r} must hold text or whole numbers, not floats")
    labels: list[str | None] = table.column(label).cast(pa.string()).to_pylist()
    if column is None:
        return dict(Counter(name for name in labels if name is not None))
    counts: dict[str, int] = {}
    for row, (name, cell) in enumerate(
        zip(labels, table.column(column).to_pylist(), strict=True), start=1
    ):
        if name is None or name in counts:
            said = "there is no class" if name is None else f"{name!r} is there twice"
            raise ReportFault(f"{file}: row {row}, column {label!r}: {said}")
        counts[name] = _whole(cell, f"{file}: row {row}, column {column!r}")
    return counts


def read_train_images(path: str | Path) -> ImageSet | None:
    """The training images that a table of training rows tells by a column ``content_hash``.

    Args:
        path: as for :func:`read_train_counts`.

    Returns:
        The images; None where the file has no such column.

    Raises:
        ReportFault: as for :func:`read_train_counts`, or a cell that is no hash.
    """
    file = Path(path)
    if file.suffix.lower() == ".json":
        return None
    if "content_hash" not in _columns(file):
        return None
    hashes = _read(file, ["content_hash"]).column("content_hash")
    try:
        return image_set(hashes.cast(pa.string()).to_pylist(), str(file))
    except ReportFault as fault:
        raise ReportFault(f"{file}: {fault}") from fault


def read_classes(path: str | Path) -> list[str]:
    """Read class names from a text file, one a line; empty lines are left out.

    Raises:
        ReportFault: no such file, or no class in it.
    """
    file = Path(path)
    if not file.is_file():
        raise ReportFault(f"{file}: there is no such file of classes")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as fault:
        raise ReportFault(f"{file}: is not a text file in UTF-8 ({fault})") from fault
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ReportFault(f"{file}: holds no class")
    return names


def _from_json(file: Path) -> dict[str, int]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise ReportFault(f"{file}: not JSON ({fault})") from fault
    if not isinstance(said, dict):
        raise ReportFault(f"{file}: must hold one object, {{class: count}}")
    return {str(name): _whole(count, f"{file}: class {name!r}") for name, count in said.items()}


def _columns(file: Path) -> list[str]:
    """The names of a table's columns."""
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ReportFault(f"{file}: training counts are read from .csv, .parquet or .json")
    try:
        names: list[str] = csv_columns(file) if suffix == ".csv" else pq.read_schema(file).names
    except (pa.ArrowException, OSError) as fault:
        raise ReportFault(f"{file}: not a readable table ({fault})") from fault
    return names


def _read(file: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a table that has them; it may hold images in others."""
    try:
        if file.suffix.lower() == ".csv":
            return read_csv_texts(file, columns)
        return pq.read_table(file, columns=list(columns))
    except (pa.ArrowException, OSError) as fault:
        raise ReportFault(f"{file}: not a readable table ({fault})") from fault


def _whole(cell: object, place: str) -> int:
    try:
        count = int(cell) if isinstance(cell, str) else cell
    except ValueError:
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ReportFault(f"{place}: {cell!r} is not a whole number of at least 0")
    return count
