"""One row of a run as a page: what was decided about its cells, and the pictures it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from eval.thumbnails import Thumbnail, make_thumbnail
from rac.attributes.ledger import Decision
from rac.attributes.run_folder import RunFolder
from rac.attributes.store import BATCH_ROWS, stretches
from rac.attributes.undo import schema_of
from rac.errors import InputError
from rac.images import BadImage, ImageLimits, read_image_bytes
from rac.page_pictures import decode_for_page
from rac.tables import Table
from retrieval_index.files import replace_file

_SIDE = 280


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
        InputError: the run has no decision about such an item, nor the table such a row.
    """
    run = folder.run()
    lines = _decisions(folder, ident)
    rows = {line["row"] for line in lines}
    wanted = set(rows)
    for line in lines:
        wanted.update(line["neighbour_rows"] or [])
    shown = _read_rows(table, wanted, None if rows else ident, limits or ImageLimits())
    if not rows:
        rows = {row for row, one in shown.items() if one.id == ident}
    if not rows:
        raise InputError(f"{table.source}: there is no row with the id {ident!r}")
    row = min(rows)
    columns = {name: one.column for name, one in schema_of(run).attributes.items()}
    decisions = [
        _described(line, shown, columns[line["attribute"]], run)
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
        **{key: run[key] for key in _FACTS},
    )
    with replace_file(out) as draft:
        draft.write_text(page, encoding="utf-8")
    return lines


_FACTS = ("table", "encoder", "encoder_identity", "schema_hash", "memory", "created")


def _decisions(folder: RunFolder, ident: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in folder.ledger.parts():
        ids = folder.ledger.read(number, ["id"]).column("id")
        if pc.any(pc.equal(ids, ident)).as_py():
            part = folder.ledger.read(number)
            found.extend(part.filter(pc.equal(part.column("id"), ident)).to_pylist())
    return found


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
    line: dict[str, Any], shown: dict[int, _Shown], column: str, run: dict[str, Any]
) -> dict[str, Any]:
    figures = run["summary"]["attributes"][line["attribute"]]
    value = line["value"]
    headlines = {
        Decision.FILLED: value,
        Decision.NOT_APPLICABLE: "does not apply",
        Decision.ABSTAINED: f"cannot tell (best guess: {value})" if value else "cannot tell",
        Decision.KNOWN: value,
        Decision.BAD_IMAGE: "cannot tell",
    }
    promise = (
        f"{figures['judged_right']:,} of {figures['judged_above']:,} above it were right."
        if figures["judged_above"]
        else "none was above it."
    )
    neighbours: Sequence[dict[str, Any]] = [
        {"id": shown[row].id, "image": shown[row].image, "value": shown[row].cells.get(column)}
        for row in line["neighbour_rows"] or []
        if row in shown
    ]
    return {
        **line,
        "headline": headlines[Decision(line["decision"])],
        "promise": promise,
        "neighbours": neighbours,
        "prompts": (line["prompts"] or "").splitlines(),
    }


def _picture(image: Thumbnail, side: int) -> Markup:
    if image.uri is None:
        return Markup('<div class="none">{}</div>').format(escape(image.reason or "no image"))
    return Markup('<img src="{}" alt="" style="max-width: {}px">').format(image.uri, side)
