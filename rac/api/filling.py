"""Filling the missing attribute cells of a frame: the same kind of frame back, with the ledger."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from rac.api.faults import as_input_errors
from rac.api.filled_frame import FilledColumn, filled_frame
from rac.api.given import ColumnNames, Data, Given, as_frame, named_encoder, opened_cache, take
from rac.attributes.fill import fill_table
from rac.attributes.ledger import Decision, read_ledger
from rac.attributes.prepare import FillOptions
from rac.attributes.schema import Schema, load_schema, parse_schema
from rac.attributes.summary import FillSummary
from rac.errors import InputError
from rac.tables import Table, open_table, write_like
from rac.tables.frame_table import FrameTable

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits

SchemaLike: TypeAlias = Schema | Mapping[str, Any] | Sequence[str] | str | Path
"""A schema, or what it is written as; see :func:`fill`."""

_SNAPSHOT = "table"


class FillSettings(TypedDict, total=False):
    """How a fill is done; see :class:`rac.attributes.prepare.FillOptions`.

    Attributes:
        max_bad: give up when more than this share of the images, 0 to 1, is bad.
        confidence: in (0, 1), with which each target precision is promised; 0.95 by default.
        seed: of folds and samples.
        workers: attributes learnt side by side; one for each processor if None.
        batch_size: images in one forward pass.
        progress: whether progress bars are shown.
    """

    max_bad: float | None
    confidence: float
    seed: int
    workers: int | None
    batch_size: int
    progress: bool


@dataclass(frozen=True, eq=False)
class FillResult:
    """A filled frame, and why each cell is as it is.

    Attributes:
        frame: a new frame of the kind that came in, with its index, column order and types; only
            cells that were missing differ. Columns that the schema adds are at the end. A column
            without a single value, of which pandas makes one of numbers, becomes one of words
            where it is filled. The path of the filled copy, where a table with a name came in.
        ledger: one row for each cell that was decided about, as :mod:`rac.attributes.ledger` has
            them: ``row`` (from 0), ``id``, ``attribute``, ``decision``, ``value``,
            ``probability``, ``alternatives``, neighbours, ``reason``. A frame of the kind that came
            in; an Arrow table, where a table with a name came in.
        summary: the figures of each attribute: coverage, precision promised and expected.
        bad: reasons of the images that could not be read, by row number.
        folder: of the run; None where it was not kept.
    """

    frame: Any
    ledger: Any
    summary: FillSummary
    bad: Mapping[int, str]
    folder: Path | None

    def __repr__(self) -> str:
        """Say how much was filled."""
        found = self.summary
        return (
            f"<{found.filled} of {found.missing} missing cells filled, {len(self.bad)} bad images>"
        )


@as_input_errors()
def fill(
    data: Data,
    schema: SchemaLike,
    *,
    encoder: str | Encoder = "mini",
    out: str | Path | None = None,
    limits: ImageLimits | None = None,
    image: str | None = None,
    id: str | None = None,
    cache: bool = True,
    **settings: Unpack[FillSettings],
) -> FillResult:
    """Fill missing attribute cells where they can be vouched for; known cells are not touched.

    Args:
        data: N items: a DataFrame (pandas, polars), a ``datasets.Dataset``, anything that gives
            itself as Arrow, or the name or path of a table. It is not changed.
        schema: what may be filled, and with what: the path of a YAML file, or the same as a dict,
            ``{"colour": ["red", "blue"], "sleeve": {"target_precision": 0.9}}``, or only names of
            columns, which then may take the values that they hold.
        encoder: its name (see :func:`rac.load_encoder`), or a loaded one.
        out: folder of the run, as ``rac fill`` writes it, for ``rac fill explain`` and ``rac
            report``; it is kept. Needed for a table with a name; without one, what a run needs on
            disk is temporary.
        limits: bounds on images, and the folders that paths may point into.
        image: column with the images, where it is not called so.
        id: column with the items' ids, likewise.
        cache: whether known embeddings are looked up on disk, and new ones kept.
        settings: those of :class:`FillSettings`, among them ``progress``.

    Returns:
        The filled frame, its ledger and its figures.

    Raises:
        InputError: data or schema cannot be read, they do not fit, or ``out`` is missing or in use.
        JobFailed: too many bad images.

    >>> import pandas, rac
    >>> from PIL import Image
    >>> colours = ["red", "blue"] * 30
    >>> shop = pandas.DataFrame({"colour": [*colours[:50], *[None] * 10]})
    >>> shop["image"] = [Image.new("RGB", (64, 64), colour) for colour in colours]
    >>> filled = rac.fill(shop, {"colour": {"target_precision": 0.8}}, progress=False)
    >>> filled
    <10 of 10 missing cells filled, 0 bad images>
    >>> filled.frame.colour[58:].tolist(), filled.ledger.decision[0]
    (['red', 'blue'], 'filled')
    """
    columns: ColumnNames = {"image": image, "id": id}
    given = take(data, limits, columns)
    if given.kind == "images":
        raise InputError("images alone have no attributes to fill: give a frame or a table")
    given.table.require("image")
    wanted = read_schema(schema)
    if given.kind is None and out is None:
        raise InputError(f"{given.table.source}: name a folder for the filled copy: out=FOLDER")
    network = named_encoder(encoder)
    with _folder(out) as folder, opened_cache(network, cache) as known:
        summary = fill_table(
            given.table if out is None else _kept(given, folder),
            wanted,
            network,
            folder,
            FillOptions(**settings),
            cache=known,
            image_limits=given.limits,
        )
        ledger, _ = read_ledger(Path(summary.files["ledger"]))
        copy = Path(summary.files["filled"])
        frame: Any = copy
        if given.kind is not None:
            frame = filled_frame(given.data, given.kind, _filled(wanted, ledger, copy))
        bad = _bad(Path(summary.files["quarantine"]))
        if out is None:
            summary = replace(summary, files={})
    return FillResult(
        frame=frame,
        ledger=ledger if given.kind is None else as_frame(ledger, given.kind),
        summary=summary,
        bad=bad,
        folder=None if out is None else folder,
    )


def read_schema(schema: SchemaLike) -> Schema:
    """Read a schema in any of the ways in which :func:`fill` takes one.

    Raises:
        InputError: it is none; the message names the attribute and the key.

    >>> read_schema({"sold": [True, "no"]}).attributes["sold"].values[0].name
    'true'
    >>> read_schema(["colour"]).attributes["colour"].values is None
    True
    """
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, str | Path):
        return load_schema(schema)
    if not isinstance(schema, Mapping):
        schema = dict.fromkeys(schema)
    fields: Mapping[str, Any] = schema
    if not isinstance(fields.get("attributes"), Mapping):
        fields = {"attributes": fields}
    attributes = {
        name: {"values": list(one)} if isinstance(one, list | tuple) else dict(one or {})
        for name, one in fields["attributes"].items()
    }
    try:
        text = yaml.safe_dump({**fields, "attributes": attributes}, sort_keys=False)
    except yaml.YAMLError as error:
        raise InputError(f"schema: words, numbers, lists and dicts only: {error}") from error
    return parse_schema(text, "schema")


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with TemporaryDirectory(prefix="rac-fill-") as scratch:
        yield Path(scratch)


def _kept(given: Given, folder: Path) -> Table:
    """Write a frame down where its run is kept, for whoever looks at the run when it has gone."""
    table = given.table
    if not isinstance(table, FrameTable):
        return table
    roles, base = table.roles, table.base
    written = open_table(
        write_like(table, folder, _SNAPSHOT, _or_heading(table)), image=roles.image, id=roles.id
    )
    written.base = base
    return written


def _or_heading(table: Table) -> Iterator[pa.RecordBatch]:
    yield from table.batches()
    if not table.num_rows():
        yield pa.RecordBatch.from_pylist([], schema=table.schema)


def _filled(schema: Schema, ledger: pa.Table, copy: Path) -> list[FilledColumn]:
    """Give the cells of each attribute's column that were written."""
    attributes = ledger.column("attribute").cast(pa.string())
    decisions = ledger.column("decision").cast(pa.string())
    found = []
    for name, attribute in schema.attributes.items():
        written = [Decision.FILLED.value]
        if attribute.not_applicable is not None:
            written.append(Decision.NOT_APPLICABLE.value)
        mine = pc.and_(pc.equal(attributes, name), pc.is_in(decisions, pa.array(written)))
        rows = ledger.column("row").filter(mine).to_numpy()
        column = pq.read_table(copy, columns=[attribute.column]).column(attribute.column)
        found.append(FilledColumn(attribute.column, rows, column.take(pa.array(rows))))
    return found


def _bad(quarantine: Path) -> dict[int, str]:
    with open(quarantine, encoding="utf-8", newline="") as file:
        return {
            int(row["row"]): f"{row['reason']}: {row['detail']}" for row in csv.DictReader(file)
        }
