"""A fill run's folder: its ledger as cells, what it promised, and the truth beside it.

The ledger is a Parquet table with a row for each cell that was decided and the columns id,
attribute, decision ("known", "filled", or another word for a cell that stayed empty), value,
probability and reason; threshold and alternatives (value, probability) are shown where there are.
Cells that were found filled need not be in it. The summary in ``run.json`` beside it, or else
``summary.json``, may say under ``attributes`` how many those are (known), and what precision each
attribute was filled for. A ledger that ``run.json`` vouches for is refused where it is another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eval.arrays import Ints
from eval.errors import ReportFault
from eval.fill_cells import FillCells, KnownCells, positions_in
from eval.run_record import LEDGER, RECORD, RunRecord, read_record, require_ledger
from eval.sealed_json import read_object

_SUMMARY = "summary.json"
_METADATA_KEY = b"rac.ledger"
# From this version on, a ledger is not to be believed without the record that vouches for it.
_VOUCHED_VERSION = 3
_COLUMNS = ("id", "attribute", "decision", "value", "probability", "reason")


@dataclass(frozen=True)
class FillPromise:
    """What a run promised of an attribute; None where it said nothing.

    Attributes:
        target: precision that was asked for.
        expected: precision expected from known cells that were held out.
        at_least: lower bound of the precision, with ``confidence``.
        confidence: of the bound.
    """

    target: float | None
    expected: float | None
    at_least: float | None
    confidence: float | None


@dataclass(frozen=True, eq=False)
class FillRun:
    """A fill run as it is reported.

    Attributes:
        ledger: the file; its rows are the cells, in order.
        cells: what was decided.
        known: cells that were found filled, by attribute; an attribute that is not named has those
            that are known among ``cells``.
        promises: by attribute.
        images: the columns id and image (references as text); None where unknown.
        image_folder: where relative references start.
        table: that the images belong to, as the user named it; None where unknown.
        metadata: what the ledger says of itself.
    """

    ledger: Path
    cells: FillCells
    known: Mapping[str, KnownCells]
    promises: Mapping[str, FillPromise]
    images: pa.Table | None
    image_folder: Path
    table: str | None
    metadata: Mapping[str, Any]


def is_fill_run(path: str | Path) -> bool:
    """Whether a path is a fill run's folder, or its ledger; also where one of its files is gone."""
    given = Path(path)
    if given.is_dir():
        return (given / LEDGER).exists() or (given / RECORD).exists()
    return given.name == LEDGER and given.exists()


def attribute_columns(path: str | Path) -> dict[str, str]:
    """Attributes of a fill run with the table columns that they are written to.

    Raises:
        ReportFault: not a readable ledger, or it or its record is missing or damaged.
    """
    said = _schema_of(fill_metadata(path))
    names = _coded(_read(_ledger(path), ("attribute",)), "attribute").names
    return {name: str(said.get(name, {}).get("column") or name) for name in names}


def fill_metadata(path: str | Path) -> dict[str, Any]:
    """What a fill run's ledger says of itself: table, encoder, schema and so on.

    Raises:
        ReportFault: not a readable ledger, or it or its record is missing or damaged.
    """
    file = _ledger(path)
    _recorded(file)
    return _metadata(file)


def read_fill_run(
    path: str | Path,
    *,
    truth: pa.Table | None = None,
    images: pa.Table | None = None,
    image_folder: str | Path = ".",
    table: str | None = None,
    found: Mapping[str, Mapping[str, int]] | None = None,
) -> FillRun:
    """Read a fill run.

    Args:
        path: its folder, or its ledger.
        truth: the column id and a column of text for each attribute of which the truth is known,
            named as the attribute; ids must be unique. A text that is a synonym of a value, by the
            run's own schema, counts as that value; null and "unknown" words count as not known.
        images: the columns id and image.
        image_folder: where relative image references start.
        table: that the images belong to, for those that lie in its cells.
        found: for each attribute, how many cells of the table held which text before it was filled;
            texts are understood as those of the truth.

    Raises:
        ReportFault: not a readable ledger, a column is missing, it or its record is missing or
            damaged, or ids of the truth repeat.
    """
    file = _ledger(path)
    record = _recorded(file)
    rows = _read(file, _COLUMNS)
    metadata = _metadata(file)
    attributes = _coded(rows, "attribute")
    values = _coded(rows, "value")
    reasons = _coded(rows, "reason")
    decisions = _coded(rows, "decision")
    known = np.isin(decisions.index, positions_in(decisions.names, ["known"]))
    filled = np.isin(decisions.index, positions_in(decisions.names, ["filled"]))
    reason = _reasons(reasons, decisions, known | filled)
    schema = _schema_of(metadata)
    names, truths = _truths(rows, attributes, values, truth, schema)
    summary = _summary(file, record)
    chance = rows.column("probability").to_numpy().astype(np.float64)
    return FillRun(
        ledger=file,
        cells=FillCells(
            attributes=attributes.names,
            values=names,
            reasons=reason.names,
            attribute=attributes.index,
            known=known,
            filled=filled,
            best=np.where(np.isnan(chance) & ~known & ~filled, -1, values.index),
            truth=truths,
            probability=chance,
            reason=reason.index,
        ),
        known={
            name: one
            for name in attributes.names
            if (one := _known(summary.get(name), (found or {}).get(name), schema.get(name)))
        },
        promises={name: _promise(name, one, file) for name, one in summary.items()},
        images=images,
        image_folder=Path(image_folder),
        table=table,
        metadata=metadata,
    )


@dataclass(frozen=True)
class _Coded:
    """A column of text as positions in its distinct names; -1 for null."""

    names: tuple[str, ...]
    index: Ints


def _coded(table: pa.Table, column: str) -> _Coded:
    cells = table.column(column).cast(pa.string()).combine_chunks()
    coded = cells.dictionary_encode()
    index = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Coded(tuple(coded.dictionary.to_pylist()), index)


def _reasons(reasons: _Coded, decisions: _Coded, answered: np.ndarray[Any, Any]) -> _Coded:
    """Why cells stayed empty; where nothing is said, the decision itself says it."""
    names = (*reasons.names, *(name.replace("_", " ") for name in decisions.names))
    index = np.where(reasons.index >= 0, reasons.index, decisions.index + len(reasons.names))
    return _Coded(names, np.where(answered, -1, index))


def _truths(
    table: pa.Table,
    attributes: _Coded,
    values: _Coded,
    truth: pa.Table | None,
    schema: Mapping[str, Mapping[str, Any]],
) -> tuple[tuple[str, ...], Ints]:
    """All names of values, those of the ledger first, and the true one (M,) of each cell."""
    names = {name: place for place, name in enumerate(values.names)}
    truths = np.full(len(attributes.index), -1, dtype=np.int64)
    if truth is None:
        return values.names, truths
    ids = truth.column("id").cast(pa.string())
    if len(pc.unique(ids)) < len(ids):
        counted = pc.value_counts(ids)
        twice = counted.filter(pc.greater(counted.field("counts"), 1))[0]["values"].as_py()
        raise ReportFault(f"the truth has the id {twice!r} twice, so its rows cannot be matched")
    place = pc.index_in(table.column("id").cast(pa.string()), value_set=ids.combine_chunks())
    at: Ints = place.fill_null(-1).to_numpy().astype(np.int64)
    for number, attribute in enumerate(attributes.names):
        if attribute not in truth.column_names:
            continue
        column = _coded(truth, attribute)
        said = [_canonical(text, schema.get(attribute, {})) for text in column.names]
        for name in said:
            if name is not None:
                names.setdefault(name, len(names))
        # One more entry, at -1, for the cells whose truth is not told.
        into = np.array([-1 if name is None else names[name] for name in said] + [-1])
        mine = np.flatnonzero((attributes.index == number) & (at >= 0))
        truths[mine] = into[column.index[at[mine]]]
    return tuple(names), truths


def _canonical(text: str, schema: Mapping[str, Any]) -> str | None:
    """The value that a cell's text means by the run's schema; None where it means "not known"."""
    plain = text.strip().casefold()
    if not plain or plain in {str(word).casefold() for word in schema.get("unknown") or ()}:
        return None
    for value in schema.get("values") or ():
        if isinstance(value, Mapping):
            spellings = [value.get("name", ""), *(value.get("synonyms") or ())]
            if plain in {str(one).strip().casefold() for one in spellings}:
                return str(value["name"])
    return text.strip()


def _ledger(path: str | Path) -> Path:
    given = Path(path)
    return given / LEDGER if given.is_dir() else given if given.name == LEDGER else given / LEDGER


def _recorded(file: Path) -> RunRecord | None:
    """The record of a ledger's run, which vouches for the ledger; None for one without a record.

    Nothing of the ledger is read before that.
    """
    found = read_record(file.parent)
    record = None if found is None else found[0]
    require_ledger(file.parent, record)
    version = _metadata(file).get("version")
    if record is None and isinstance(version, int) and version >= _VOUCHED_VERSION:
        raise ReportFault(
            f"{file.parent / RECORD}: it is missing, and it alone says whether {LEDGER} is whole; "
            "put it back from a backup"
        )
    return record


def _metadata(file: Path) -> dict[str, Any]:
    with _faults_told(file):
        said = json.loads((pq.read_schema(file).metadata or {}).get(_METADATA_KEY, b"{}"))
    return said if isinstance(said, dict) else {}


def _read(file: Path, columns: Sequence[str]) -> pa.Table:
    with _faults_told(file):
        there = pq.read_schema(file).names
        missing = [name for name in columns if name not in there]
        if missing:
            raise ReportFault(f"{file}: has no column {missing[0]!r}; it has {', '.join(there)}")
        kinds = {name: pa.float64() if name == "probability" else pa.string() for name in columns}
        table = pq.read_table(file, columns=list(columns)).select(list(columns))
        table = table.replace_schema_metadata(None).cast(pa.schema(kinds.items()))
        # Also that what is called text is UTF-8.
        table.validate(full=True)
        for name in ("attribute", "decision"):
            if name in columns and table.column(name).null_count:
                raise ReportFault(f"{file}: column {name!r} has empty cells")
    return table


@contextmanager
def _faults_told(file: Path) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise ReportFault(f"{file}: its metadata is nested too deeply to be read") from None
    except ReportFault:
        raise
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise ReportFault(f"{file}: not a readable ledger ({fault})") from fault


def _schema_of(metadata: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    schema = metadata.get("schema")
    attributes = schema.get("attributes") if isinstance(schema, Mapping) else None
    if not isinstance(attributes, Mapping):
        return {}
    return {name: said for name, said in attributes.items() if isinstance(said, Mapping)}


def _summary(file: Path, record: RunRecord | None) -> dict[str, Mapping[str, Any]]:
    """What the summary says of each attribute: in the record that vouches for itself, where there
    is one, else in the file of its own, if any.
    """
    if record is not None and record.ledger is not None:
        return {name: one.model_dump() for name, one in record.summary.attributes.items()}
    path = file.with_name(_SUMMARY)
    said = (read_object(path) or {}).get("attributes", {})
    if not isinstance(said, Mapping):
        raise ReportFault(f"{path}: it is damaged: 'attributes' is not an object")
    return {name: one for name, one in said.items() if isinstance(one, Mapping)}


def _promise(name: str, said: Mapping[str, Any], file: Path) -> FillPromise:
    def share(key: str) -> float | None:
        found = said.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            raise ReportFault(
                f"{file}: the summary of attribute {name!r} says {key} {found!r}, not a share"
            )
        return float(found)

    return FillPromise(
        target=share("target_precision"),
        expected=share("expected_precision"),
        at_least=share("precision_bound"),
        confidence=share("confidence"),
    )


def _known(
    said: Mapping[str, Any] | None,
    found: Mapping[str, int] | None,
    schema: Mapping[str, Any] | None,
) -> KnownCells | None:
    """The cells that were found filled: from the table itself, else their number as summarised."""
    if found is not None:
        values: Counter[str] = Counter()
        for text, cells in found.items():
            name = _canonical(text, schema or {})
            if name is not None:
                values[name] += cells
        return KnownCells(values.total(), values)
    total = (said or {}).get("known")
    return KnownCells(total, None) if isinstance(total, int) else None
