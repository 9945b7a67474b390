"""What can be done with a run: explain it, take it back; and before one: plan, audit, infer."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rac.attributes.audit import audit_cells, write_doubts
from rac.attributes.explain import explain_row
from rac.attributes.fill import fill_table
from rac.attributes.infer import check_schema, infer_schema
from rac.attributes.plan import plan_fill
from rac.attributes.prepare import FillOptions, Prepared, prepare_fill
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.summary import FillSummary
from rac.attributes.undo import undo_fill
from rac.errors import InputError
from rac.images import ImageLimits
from rac.tables import open_table
from tests.toy import ToyEncoder

SCHEMA = parse_schema(
    "attributes: {colour: {target_precision: 0.9}, shade: {values: [a, b], column: Shade}}"
)
Write = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path, write_catalogue: Write) -> Path:
    return write_catalogue(tmp_path / "shop", empty=("", "n/a"))


def fill(table: Path, out: Path, schema: Schema = SCHEMA) -> FillSummary:
    return fill_table(open_table(table), schema, ToyEncoder(), out, progress=False)


def run(table: Path, out: Path, schema: Schema = SCHEMA) -> Path:
    fill(table, out, schema)
    return out


def prepared(table: Path, out: Path) -> Prepared:
    with RunFolder.locked(out) as folder:
        options = FillOptions(progress=False)
        return prepare_fill(open_table(table), SCHEMA, ToyEncoder(), folder, options)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_images_that_were_refused_are_looked_at_again_once_they_are_allowed(
    table: Path, tmp_path: Path
) -> None:
    """Guards against a run that stood, all images bad, when its folder was given --image-root."""
    moved = tmp_path / "feeds" / "items.csv"
    moved.parent.mkdir()
    text = re.sub(r",(\d{4}-\w+\.png)", rf",{table.parent}/\1", table.read_text(encoding="utf-8"))
    moved.write_text(text, encoding="utf-8")

    def filled(limits: ImageLimits) -> FillSummary:
        opened = open_table(moved)
        return fill_table(
            opened, SCHEMA, ToyEncoder(), tmp_path / "run", progress=False, image_limits=limits
        )

    refused = filled(ImageLimits())
    assert (refused.bad_images, refused.filled) == (160, 0)
    allowed = ImageLimits(roots=(table.parent,))
    seen = filled(allowed)
    assert (seen.bad_images, seen.resumed_rows) == (0, 0)
    assert seen.filled > 0
    assert filled(allowed).resumed_rows == 160


def test_undo_gives_back_the_table_to_the_byte(table: Path, tmp_path: Path) -> None:
    out = run(table, tmp_path / "run")
    assert (out / "filled.csv").read_bytes() != table.read_bytes()
    with RunFolder.locked(out) as folder:
        undone = undo_fill(folder)
    assert Path(undone.file).read_bytes() == table.read_bytes()
    assert undone.cells > 50
    assert undone.kept == 0


def test_undo_leaves_what_somebody_changed_since(table: Path, tmp_path: Path) -> None:
    out = run(table, tmp_path / "run")
    rows = read(out / "filled.csv")
    assert rows[0]["colour"] == "red"
    rows[0]["colour"] = "crimson"
    worked_on = table.with_name("worked-on.csv")
    with open(worked_on, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with RunFolder.locked(out) as folder:
        undone = undo_fill(folder, worked_on)
    after = read(Path(undone.file))
    assert (after[0]["colour"], undone.kept) == ("crimson", 1)
    assert [row["colour"] for row in after[1:]] == [row["colour"] for row in read(table)[1:]]
    worked_on.write_text("\n".join(worked_on.read_text().split("\r\n")[1:]))
    with RunFolder.locked(out) as folder, pytest.raises(InputError):
        undo_fill(folder, worked_on)


def test_undo_without_a_copy_says_so(table: Path, tmp_path: Path) -> None:
    fill_table(
        open_table(table), SCHEMA, ToyEncoder(), tmp_path / "run", progress=False, dry_run=True
    )
    with RunFolder.locked(tmp_path / "run") as folder, pytest.raises(InputError, match="no filled"):
        undo_fill(folder)
    with RunFolder.locked(tmp_path / "new") as folder, pytest.raises(InputError, match="finished"):
        undo_fill(folder)


def test_a_page_tells_what_a_cell_rests_on(table: Path, tmp_path: Path) -> None:
    out = run(table, tmp_path / "run")
    page = tmp_path / "page.html"
    with RunFolder.locked(out) as folder:
        lines = explain_row(folder, open_table(table), "sku-3", page)
        colour = next(line for line in lines if line["attribute"] == "colour")
        assert (colour["decision"], colour["value"]) == ("filled", "yellow")
        text = page.read_text("utf-8")
        for words in ("sku-3", "colour: yellow", "a photo of a yellow.", "0.", *map(
            str, colour["neighbour_ids"]
        )):  # fmt: skip
            assert words in text
        # The item and five neighbours as pictures in the page itself; cells as text, never markup.
        assert text.count('src="data:image/') >= 6
        assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")
        assert "<b>" not in text.partition("<table>")[2].partition("</table>")[0]
        explain_row(folder, open_table(table), "sku-1", page)
        with pytest.raises(InputError, match="no row with the id 'sku-999'"):
            explain_row(folder, open_table(table), "sku-999", page)


def test_a_plan_comes_true(table: Path, tmp_path: Path) -> None:
    job = prepared(table, tmp_path / "run")
    plans = {plan.attribute: plan for plan in plan_fill(job, job.fit())}
    assert not (tmp_path / "run" / "ledger.parquet").exists()
    colour = plans["colour"]
    assert (colour.known, colour.missing, colour.source) == (96, 64, "fused")
    assert colour.expected_fills is not None
    summary = fill_table(
        open_table(table), SCHEMA, ToyEncoder(), tmp_path / "run", FillOptions(progress=False)
    )
    assert colour.expected_fills == pytest.approx(summary.attributes["colour"].filled, abs=8)
    assert plans["shade"].expected_fills is None
    assert summary.images_opened == 0


def test_an_audit_finds_swapped_values_and_changes_nothing(table: Path, tmp_path: Path) -> None:
    text = table.read_text()
    assert "sku-1,0001-green.png,green" in text
    text = text.replace("sku-1,0001-green.png,green", "sku-1,0001-green.png,yellow")
    text = text.replace("sku-2,0002-blue.png,blue", "sku-2,0002-blue.png,only one")
    table.write_text(text)
    before = table.read_bytes()
    doubts = audit_cells(prepared(table, tmp_path / "run"))
    assert len(doubts) == 95
    assert (doubts[0].id, doubts[0].value, doubts[0].suggestion) == ("sku-1", "yellow", "green")
    assert doubts[0].wrong > 0.9 > doubts[1].wrong
    assert "sku-" in doubts[0].neighbours
    assert ": green" in doubts[0].neighbours
    write_doubts(doubts, tmp_path / "audit.csv")
    assert read(tmp_path / "audit.csv")[0]["id"] == "sku-1"
    assert table.read_bytes() == before


def test_a_schema_is_drafted_from_columns_and_values(tmp_path: Path) -> None:
    lines = ["id,image,kind,sleeve,tags,price"]
    for row in range(120):
        shirt = row % 2
        sleeve = ("long", "short", "")[row % 3] if shirt else ""
        tags = ("new", "sale", "new; sale", "-")[row % 4]
        lines.append(f"{row},{row}.png,{'shirt' if shirt else 'mug'},{sleeve},{tags},{row}.99")
    path = tmp_path / "items.csv"
    path.write_text("\n".join(lines) + "\n")
    schema = parse_schema(infer_schema(open_table(path)))
    assert list(schema.attributes) == ["kind", "sleeve", "tags"]
    assert schema.attributes["sleeve"].applies_when == {"kind": ("shirt",)}
    tags = schema.attributes["tags"]
    assert (tags.multiple, tags.separator) == (True, "; ")
    assert [value.name for value in tags.values or ()] == ["new", "sale"]
    checks = {check.attribute: check for check in check_schema(schema, open_table(path))}
    assert (checks["kind"].known, checks["kind"].missing) == (120, 0)
    assert checks["tags"].missing == 30
    assert checks["sleeve"].enough == (checks["sleeve"].known >= checks["sleeve"].needed)
    odd = parse_schema("attributes: {kind: {values: [shirt, hat]}, brand: {values: [a, b]}}")
    checks = {check.attribute: check for check in check_schema(odd, open_table(path))}
    assert checks["kind"].outside_words == ["mug"]
    assert checks["kind"].unused == ["hat"]
    assert checks["brand"].new
    path.write_text("id,image,text\n1,a.png,x\n2,b.png,y\n")
    with pytest.raises(InputError, match="no column looks like an attribute"):
        infer_schema(open_table(path))


def test_a_run_again_decides_about_what_is_missing_now(table: Path, tmp_path: Path) -> None:
    """A known cell is emptied; it is filled, and undo gives back the table with it empty."""
    out = tmp_path / "run"
    first = fill(table, out)
    lines = table.read_bytes().splitlines(keepends=True)
    assert b",green," in lines[3]
    lines[3] = lines[3].replace(b",green,", b",,")
    changed = b"".join(lines)
    table.write_bytes(changed)
    second = fill(table, out)
    assert (second.missing, second.images_opened) == (first.missing + 1, 0)
    assert read(out / "filled.csv")[1]["colour"] == "green"
    ledger = pq.read_table(out / "ledger.parquet", columns=["row", "attribute"]).to_pylist()
    assert len({(line["row"], line["attribute"]) for line in ledger}) == len(ledger)
    with RunFolder.locked(out) as folder:
        assert Path(undo_fill(folder).file).read_bytes() == changed


def test_fills_do_not_come_back_as_known_cells(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    before = table.read_bytes()
    fill(table, out)
    shutil.copy(out / "filled.csv", table)
    with pytest.raises(InputError, match=r"holds \d+ of the \d+ cells .* another folder"):
        fill(table, out)
    # The first run can still be taken back, and another folder takes the cells as known.
    with RunFolder.locked(out) as folder:
        assert Path(undo_fill(folder).file).read_bytes() == before
    assert fill(table, tmp_path / "other").attributes["colour"].missing == 0
