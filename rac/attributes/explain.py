"""One row of a run as a page: what was decided about its cells, and the pictures it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from eval.page_file import content_policy, write_page
from eval.run_record import AttributeFigures
from eval.thumbnails import Thumbnail, make_thumbnail
from rac.attributes.ledger import Decision, Ledger
from rac.attributes.run_folder import RunFolder
from rac.attributes.store import BATCH_ROWS, stretches
from rac.attributes.undo import read_schema
from rac.errors import InputError
from rac.images import BadImage, ImageLimits, read_image_bytes
from rac.page_pictures import decode_for_page
from rac.tables import Table

_SIDE = 280
_NEIGHBOURS_SHOWN = 24


@dataclass(frozen=True)
class _Shown:
    id: str
    image: Thumbnail
    cells: dict[str, str | None]


def explain_row(
    folder: RunFolder, table: Table, ident: str, out: Path, limits: ImageLimits | None = None
) -> list[dict[str, Any]]:
    """Write the page of one item, whole or not at all.

    Args:
        folder: of the run.
        table: that was filled, or its filled copy; pictures and other cells are read from it.
        ident: the item's id.
        out: the page, a single file that needs nothing else.
        limits: bounds on images.

    Returns:
        The decisions about the item's cells, as the ledger has them.

    Raises:
        InputError: the run has no decision about such an item, nor the table such a row; or there
            is no finished run, or its record or its ledger is missing or damaged.
    """
    run = folder.record()
    lines = _decisions(folder.whole_ledger(), ident)
    rows = {line["row"] for line in lines}
    wanted = set(rows)
    for line in lines:
        wanted.update(_neighbours(line))
    shown = _read_rows(table, wanted, None if rows else ident, limits or ImageLimits())
    if not rows:
        rows = {row for row, one in shown.items() if one.id == ident}
    if not rows:
        raise InputError(f"{table.source}: there is no row with the id {ident!r}")
    row = min(rows)
    if row not in shown or shown[row].id != ident:
        raise InputError(
            f"{table.source}: row {row} is not {ident!r}, as it was when the run decided about it; "
            "rows were moved, added or taken out since"
        )
    schema = read_schema(run.schema_content, folder.path)
    columns = {name: one.column for name, one in schema.attributes.items()}
    decisions = [
        _described(folder.ledger, line, shown, columns, run.summary.attributes)
        for line in lines
        if line["row"] == row
    ]
    environment = Environment(
        loader=PackageLoader("rac.attributes"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("explain.html").render(
        id=ident,
        row=row,
        image=shown[row].image,
        cells=list(shown[row].cells.items()),
        decisions=decisions,
        picture=_picture,
        policy=content_policy(),
        table=run.table,
        encoder=run.encoder,
        encoder_identity=run.encoder_identity,
        schema_hash=run.schema_hash,
        memory=run.memory,
        created=run.created,
    )
    write_page(out, page)
    return lines


def _decisions(ledger: Ledger, ident: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in ledger.parts():
        ids = ledger.read(number, ["id"]).column("id")
        if pc.any(pc.equal(ids, ident)).as_py():
            part = ledger.read(number)
            found.extend(part.filter(pc.equal(part.column("id"), ident)).to_pylist())
    return found


def _neighbours(line: dict[str, Any]) -> list[int]:
    """The rows that a decision names as its neighbours, each once; a page has room for some."""
    named = dict.fromkeys(row for row in line["neighbour_rows"] or [] if row is not None)
    return list(named)[:_NEIGHBOURS_SHOWN]


def _read_rows(
    table: Table, wanted: set[int], ident: str | None, limits: ImageLimits
) -> dict[int, _Shown]:
    found: dict[int, _Shown] = {}
    last = max(wanted, default=-1)
    for first, batch in stretches(table, BATCH_ROWS):
        here = sorted(row - first for row in wanted if first <= row < first + batch.num_rows)
        if ident is not None:
            ids = [item.id for item in table.items(batch, first)]
            here = sorted({*here, *(place for place, one in enumerate(ids) if one == ident)})
        for place in here:
            found[first + place] = _shown(table, batch.slice(place, 1), first + place, limits)
        if ident is None and first + batch.num_rows > last:
            break
    return found


def _shown(table: Table, batch: pa.RecordBatch, row: int, limits: ImageLimits) -> _Shown:
    item = table.items(batch, row)[0]
    cells = {
        name: table.strings(batch, name)[0] for name in table.columns if name != table.roles.image
    }
    try:
        data = read_image_bytes(item.image, table.base, limits)
    except BadImage as error:
        return _Shown(item.id, Thumbnail(None, str(error)), cells)
    decode = partial(decode_for_page, limits=limits)
    return _Shown(item.id, make_thumbnail(item.id or "-", lambda _: data, _SIDE, decode), cells)


def _described(
    ledger: Ledger,
    line: dict[str, Any],
    shown: dict[int, _Shown],
    columns: Mapping[str, str],
    figures: Mapping[str, AttributeFigures],
) -> dict[str, Any]:
    name, value = line["attribute"], line["value"]
    if name not in columns or name not in figures:
        raise InputError(
            f"{ledger.path}: it decides about {name!r}, which is no attribute of the run"
        )
    headlines = {
        Decision.FILLED.value: value,
        Decision.NOT_APPLICABLE.value: "does not apply",
        Decision.ABSTAINED.value: f"cannot tell (best guess: {value})" if value else "cannot tell",
        Decision.KNOWN.value: value,
        Decision.BAD_IMAGE.value: "cannot tell",
    }
    if line["decision"] not in headlines:
        raise InputError(f"{ledger.path}: {line['decision']!r} is not a decision")
    judged = figures[name]
    promise = (
        f"{judged.judged_right:,} of {judged.judged_above:,} above it were right."
        if judged.judged_above
        else "none was above it."
    )
    column = columns[name]
    neighbours: Sequence[dict[str, Any]] = [
        {"id": shown[row].id, "image": shown[row].image, "value": shown[row].cells.get(column)}
        for row in _neighbours(line)
        if row in shown
    ]
    return {
        **line,
        "headline": headlines[line["decision"]],
        # A ledger from elsewhere may lack a probability; a bar without a length is none.
        "alternatives": [
            one
            for one in line["alternatives"] or []
            if one is not None and one["probability"] is not None
        ],
        "promise": promise,
        "neighbours": neighbours,
        "prompts": (line["prompts"] or "").splitlines(),
    }


def _picture(image: Thumbnail, side: int) -> Markup:
    if image.uri is None:
        return Markup('<div class="none">{}</div>').format(escape(image.reason or "no image"))
    return Markup('<img src="{}" alt="" style="max-width: {}px">').format(image.uri, side)
