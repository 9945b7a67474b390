from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rac.attributes.fill import fill_table
from rac.attributes.ledger import read_ledger
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.summary import FillSummary
from rac.errors import InputError, JobFailed
from rac.tables import open_table
from tests.toy import ToyEncoder, toy_image

SCHEMA = parse_schema("attributes: {colour: {target_precision: 0.9}}")
Write = Callable[..., Path]


def run(
    table: Path, out: Path, schema: Schema = SCHEMA, encoder: ToyEncoder | None = None, **options
) -> FillSummary:
    return fill_table(
        open_table(table), schema, encoder or ToyEncoder(), out, progress=False, **options
    )


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_a_catalogue_is_filled_end_to_end(tmp_path: Path, write_catalogue: Write) -> None:
    table = write_catalogue(tmp_path / "shop", empty=("", "n/a", " ", "None given"))
    summary = run(table, tmp_path / "run")
    before, after = read(table), read(tmp_path / "run" / "filled.csv")
    assert list(after[0]) == ["id", "image", "colour", "note"]
    assert len(before) == len(after) == summary.rows == 160
    colour = summary.attributes["colour"]
    assert colour.missing == 64
    assert colour.filled > 50
    for old, new in zip(before, after, strict=True):
        truth = old["image"].removesuffix(".png").split("-")[1]
        assert {**old, "colour": ""} == {**new, "colour": ""}
        if old["colour"] in COLOUR_WORDS:
            assert new["colour"] == old["colour"]
        else:
            assert new["colour"] in (truth, old["colour"])
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary.as_json()
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert noted["schema_hash"] == SCHEMA.hash
    assert noted["encoder_identity"] == "toy0"
    assert noted["summary"]["attributes"]["colour"]["judged_above"] == colour.judged_above > 0
    assert read(tmp_path / "run" / "quarantine.csv") == []
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.endswith(".part")]


COLOUR_WORDS = {"red", "green", "blue", "yellow"}


def test_the_ledger_tells_of_every_cell(tmp_path: Path, write_catalogue: Write) -> None:
    table = write_catalogue(tmp_path / "shop")
    (tmp_path / "shop" / "0003-yellow.png").write_bytes(b"not an image")
    summary = run(table, tmp_path / "run")
    ledger, metadata = read_ledger(tmp_path / "run" / "ledger.parquet")
    rows = ledger.to_pylist()
    assert [row["row"] for row in rows] == [row for row in range(160) if row % 5 in (0, 3)]
    assert {row["attribute"] for row in rows} == {"colour"}
    decisions = [row["decision"] for row in rows]
    colour = summary.attributes["colour"]
    assert decisions.count("known") == 0
    assert colour.known == 96
    assert decisions.count("filled") == colour.filled
    assert decisions.count("abstained") == colour.abstained
    assert decisions.count("bad_image") == colour.bad_images == 1
    cells = {row["id"]: row["colour"] for row in read(tmp_path / "run" / "filled.csv")}
    known = {row["id"]: row["colour"] for row in read(table) if row["colour"]}
    for row in rows:
        if row["decision"] == "filled":
            assert row["value"] == cells[row["id"]]
            assert row["probability"] > row["threshold"]
            assert row["source"] == "fused"
            assert row["alternatives"][0]["value"] == row["value"]
            assert len(row["alternatives"]) == 3
            assert sum(one["probability"] for one in row["alternatives"]) <= 1.0001
            assert len(row["neighbour_ids"]) == 5
            assert set(row["neighbour_ids"]) <= set(known)
            assert row["neighbour_ids"][0] == f"sku-{row['neighbour_rows'][0]}"
            assert row["reason"] is None
        if row["decision"] == "abstained":
            assert row["reason"]
    assert rows[1]["row"] == 3
    assert rows[1]["reason"].startswith("not-an-image")
    assert pq.read_table(tmp_path / "run" / "ledger.parquet").num_rows == len(rows)
    assert metadata["schema_hash"] == SCHEMA.hash
    assert metadata["encoder_identity"] == "toy0"
    assert metadata["created"]


def test_bad_images_are_put_aside_one_by_one(tmp_path: Path, write_catalogue: Write) -> None:
    table = write_catalogue(tmp_path / "shop")
    folder = tmp_path / "shop"
    whole = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(
        whole
    )
    (folder / "0000-red.png").write_bytes(whole.read_bytes()[:700])
    (folder / "0003-yellow.png").write_text("<html>not found</html>")
    (folder / "0005-green.png").unlink()
    toy_image("red", size=(20, 24)).convert("CMYK").save(folder / "cmyk.jpg")
    (folder / "cmyk.jpg").rename(folder / "0008-red.png")
    summary = run(table, tmp_path / "run")
    bad = {row["row"]: row for row in read(tmp_path / "run" / "quarantine.csv")}
    assert set(bad) == {"0", "3", "5"}
    assert bad["3"]["reason"] == "not-an-image"
    assert bad["5"] == {**bad["5"], "id": "sku-5", "image": "0005-green.png", "reason": "missing"}
    assert all(row["detail"] for row in bad.values())
    assert summary.bad_images == 3
    assert sum(summary.bad_reasons.values()) == 3
    after = read(tmp_path / "run" / "filled.csv")
    assert [after[row]["colour"] for row in (0, 3, 5)] == ["", "", ""]
    assert after[8]["colour"] == "red"
    with pytest.raises(JobFailed, match="max-bad"):
        run(table, tmp_path / "run", max_bad=0.01)
    with pytest.raises(JobFailed, match="max-bad"):
        run(table, tmp_path / "strict", max_bad=0.01)
    assert not (tmp_path / "strict" / "filled.csv").exists()
    assert not list((tmp_path / "strict").glob(".embeddings*"))


def test_the_same_run_twice_opens_no_image_and_changes_nothing(
    tmp_path: Path, write_catalogue: Write
) -> None:
    table, encoder = write_catalogue(tmp_path / "shop"), ToyEncoder()
    first = run(table, tmp_path / "run", encoder=encoder)
    assert first.images_opened == encoder.images_encoded == 160
    files = ("filled.csv", "quarantine.csv", "embeddings/trunk.f32")
    bytes_before = [(tmp_path / "run" / name).read_bytes() for name in files]
    ledger_before = pq.read_table(tmp_path / "run" / "ledger.parquet")
    second = run(table, tmp_path / "run", encoder=encoder)
    assert second.images_opened == 0
    assert encoder.images_encoded == 160
    assert [(tmp_path / "run" / name).read_bytes() for name in files] == bytes_before
    assert pq.read_table(tmp_path / "run" / "ledger.parquet").equals(ledger_before)
    other = parse_schema("attributes: {colour: {values: [red, green, blue, yellow, black]}}")
    changed = run(table, tmp_path / "run", schema=other, encoder=encoder)
    assert (changed.images_opened, encoder.images_encoded) == (0, 160)
    assert changed.attributes["colour"].values == 5


def test_another_encoder_or_a_changed_image_is_embedded_again(
    tmp_path: Path, write_catalogue: Write
) -> None:
    table = write_catalogue(tmp_path / "shop")
    run(table, tmp_path / "run")
    assert run(table, tmp_path / "run", encoder=ToyEncoder("other")).images_opened == 160
    toy_image("black", size=(30, 30)).save(tmp_path / "shop" / "0007-yellow.png")
    assert run(table, tmp_path / "run", encoder=ToyEncoder("other")).images_opened == 160
    (tmp_path / "run" / "embeddings" / "trunk.f32").write_bytes(b"short")
    assert run(table, tmp_path / "run", encoder=ToyEncoder("other")).images_opened == 160
    assert run(table, tmp_path / "run", encoder=ToyEncoder("other")).images_opened == 0


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_other_formats_come_back_as_they_were(
    tmp_path: Path, write_catalogue: Write, suffix: str
) -> None:
    csv_table = write_catalogue(tmp_path / "shop")
    rows = [
        {**row, "colour": row["colour"] or None, "price": number / 2, "tags": [number]}
        for number, row in enumerate(read(csv_table))
    ]
    table = tmp_path / "shop" / f"items.{suffix}"
    if suffix == "parquet":
        import pyarrow as pa

        pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata({"by": "hand"}), table)
    else:
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(table, tmp_path / "run")
    out = tmp_path / "run" / f"filled.{suffix}"
    if suffix == "parquet":
        assert pq.read_schema(out).equals(pq.read_schema(table), check_metadata=True)
        after = pq.read_table(out).to_pylist()
    else:
        after = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(row["colour"] is not None for row in after) > 140
    for old, new in zip(rows, after, strict=True):
        assert new == (old if old["colour"] else {**old, "colour": new["colour"]})


def test_a_missing_column_is_added_and_duplicate_ids_are_told_apart(
    tmp_path: Path, write_catalogue: Write
) -> None:
    table = write_catalogue(tmp_path / "shop", rows=12)
    table.write_text(table.read_text().replace("sku-4,", "sku-3,"))
    schema = parse_schema("attributes: {shade: {values: [black, white]}}")
    summary = run(table, tmp_path / "run", schema=schema)
    assert summary.new_columns == ["shade"]
    assert (summary.duplicate_ids, summary.first_duplicates) == (1, ["sku-3"])
    after = read(tmp_path / "run" / "filled.csv")
    assert list(after[0]) == ["id", "image", "colour", "note", "shade"]
    ledger, _ = read_ledger(tmp_path / "run" / "ledger.parquet")
    assert ledger.column("row").to_pylist() == list(range(12))
    assert ledger.column("source").to_pylist() == ["zero-shot"] * 12


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_table_and_one_row(tmp_path: Path, write_catalogue: Write, rows: int) -> None:
    table = write_catalogue(tmp_path / "shop", rows=rows)
    summary = run(table, tmp_path / "run")
    assert summary.rows == rows
    assert (tmp_path / "run" / "filled.csv").read_bytes() == table.read_bytes()
    assert run(table, tmp_path / "run").images_opened == 0 or rows == 0


def test_a_dry_run_writes_no_copy_and_a_limit_stops_early(
    tmp_path: Path, write_catalogue: Write
) -> None:
    table = write_catalogue(tmp_path / "shop")
    dry = run(table, tmp_path / "run", dry_run=True)
    assert dry.attributes["colour"].filled > 0
    assert not (tmp_path / "run" / "filled.csv").exists()
    assert (tmp_path / "run" / "ledger.parquet").exists()
    short = run(table, tmp_path / "short", limit=100)
    assert short.rows == short.images_opened == 100
    assert len(read(tmp_path / "short" / "filled.csv")) == 100
    with pytest.raises(InputError, match="--limit"):
        run(table, tmp_path / "short", limit=0)


def test_a_job_that_fails_leaves_the_run_before_as_it_was(
    tmp_path: Path, write_catalogue: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_catalogue(tmp_path / "shop")
    run(table, tmp_path / "run")
    names = (
        "filled.csv",
        "ledger.parquet",
        "quarantine.csv",
        "run.json",
        "summary.json",
    )
    before = {name: (tmp_path / "run" / name).read_bytes() for name in names}

    def fails(*_: object) -> None:
        raise JobFailed("the disk is full")

    monkeypatch.setattr("rac.attributes.filled_copy.fill_column", fails)
    with pytest.raises(JobFailed, match="disk"):
        run(table, tmp_path / "run", seed=1)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in names} == before


def test_the_table_itself_is_never_replaced_and_one_job_holds_a_folder(
    tmp_path: Path, write_catalogue: Write
) -> None:
    from filelock import FileLock

    table = write_catalogue(tmp_path / "shop", rows=8)
    renamed = table.rename(table.with_name("filled.csv"))
    with pytest.raises(InputError, match="is the table itself"):
        run(renamed, tmp_path / "shop")
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(InputError, match="another job"):
        run(renamed, tmp_path / "run")
