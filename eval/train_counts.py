"""Training rows by class, and the order of classes, from files that people have at hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

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
    table = _read(file)
    label = next((name for name in _LABEL_NAMES if name in table.column_names), None)
    if label is None:
        raise ReportFault(
            f"{file}: has no column 'label'; it has {', '.join(table.column_names) or 'none'}"
        )
    if pa.types.is_floating(table.column(label).type):
        raise ReportFault(f"{file}: column {label!r} must hold text or whole numbers, not floats")
    labels: list[str | None] = table.column(label).cast(pa.string()).to_pylist()
    column = next((name for name in _COUNT_NAMES if name in table.column_names), None)
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
    table = _read(file)
    if "content_hash" not in table.column_names:
        return None
    try:
        return image_set(table.column("content_hash").cast(pa.string()).to_pylist(), str(file))
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
    lines: Sequence[str] = file.read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ReportFault(f"{file}: holds no class")
    return names


def _from_json(file: Path) -> dict[str, int]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ReportFault(f"{file}: not JSON ({fault})") from fault
    if not isinstance(said, dict):
        raise ReportFault(f"{file}: must hold one object, {{class: count}}")
    return {str(name): _whole(count, f"{file}: class {name!r}") for name, count in said.items()}


def _read(file: Path) -> pa.Table:
    try:
        if file.suffix.lower() == ".parquet":
            return pq.read_table(file)
        if file.suffix.lower() == ".csv":
            with pyarrow.csv.open_csv(file) as reader:
                names = reader.schema.names
            texts = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            )
            return pyarrow.csv.read_csv(file, convert_options=texts)
    except (pa.ArrowInvalid, OSError) as fault:
        raise ReportFault(f"{file}: not a readable table ({fault})") from fault
    raise ReportFault(f"{file}: training counts are read from .csv, .parquet or .json")


def _whole(cell: object, place: str) -> int:
    try:
        count = int(cell) if isinstance(cell, str) else cell
    except ValueError:
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ReportFault(f"{place}: {cell!r} is not a whole number of at least 0")
    return count
