"""Fill runs: the ledger read, held against a truth, and shown."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from eval.errors import ReportFault
from eval.ledgers import attribute_columns, is_fill_run, read_fill_run
from eval.report import build_report, write_report
from tests.reference import figures

EVIL = "</td><script>alert(1)</script>"
VALUES = ["red", "blue", EVIL]


@pytest.fixture
def run(tmp_path):
    """A ledger of 120 rows and two attributes, drawn at random, with its truth as a table."""
    rng = np.random.default_rng(3)
    lines, truth = [], {"id": [f"i{r}" for r in range(120)], "colour": [], "shape": []}
    for row in range(120):
        for attribute in ("colour", "shape"):
            true = VALUES[rng.integers(3)]
            best = true if rng.random() < 0.7 else VALUES[rng.integers(3)]
            chance = round(float(rng.random()), 2)
            kind = rng.random()
            line = {"id": f"i{row}", "attribute": attribute, "threshold": 0.5, "reason": None}
            if kind < 0.4:
                line |= {"decision": "known", "value": true, "probability": None}
            elif kind < 0.5:
                line |= {"decision": "bad_image", "value": None, "probability": None}
            elif chance > 0.5:
                line |= {"decision": "filled", "value": best, "probability": chance}
            else:
                line |= {
                    "decision": "abstained",
                    "value": best,
                    "probability": chance,
                    "reason": f"'{best[:4]}' has probability {chance}, not above 0.5",
                }
            other = {"value": VALUES[0], "probability": 0.1}
            line["alternatives"] = [other] if line["probability"] is not None else None
            lines.append(line)
            truth[attribute].append(None if rng.random() < 0.2 else true)
    folder = tmp_path / "run"
    folder.mkdir()
    schema = {
        "attributes": {
            "colour": {
                "column": "farbe",
                "values": [{"name": "red", "synonyms": ["Scarlet"]}, {"name": "blue"}],
                "unknown": ["n/a"],
            }
        }
    }
    table = pa.Table.from_pylist(lines)
    noted = {b"rac.ledger": json.dumps({"schema": schema, "table": "shop.csv"}).encode()}
    pq.write_table(table.replace_schema_metadata(noted), folder / "ledger.parquet")
    promise = {"target_precision": 0.9, "expected_precision": 0.93, "precision_bound": 0.91,
               "confidence": 0.95}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps({"attributes": {"colour": promise}}))
    return folder, lines, pa.table(truth)


def test_cells_and_figures_are_those_of_the_loop(run):
    folder, lines, truth = run
    fills = build_report([], fill_run=read_fill_run(folder, truth=truth)).fills
    told = {row["id"]: row for row in truth.to_pylist()}
    for attribute in ("colour", "shape"):
        mine = [line for line in lines if line["attribute"] == attribute]
        empty = [line for line in mine if line["decision"] != "known"]
        judged = [line for line in empty if told[line["id"]][attribute] is not None]
        filled = [line for line in judged if line["decision"] == "filled"]
        right = [line["value"] == told[line["id"]][attribute] for line in filled]
        score = fills[attribute]
        assert (score.known, score.empty) == (len(mine) - len(empty), len(empty))
        assert score.written == sum(line["decision"] == "filled" for line in empty)
        assert (score.cells, score.filled, score.correct) == (len(judged), len(filled), sum(right))
        assert score.precision == pytest.approx(figures.share(right))
        expected = figures.values_of_fills(
            [told[line["id"]][attribute] for line in mine],
            [line["value"] for line in mine],
            [line["decision"] == "filled" for line in mine],
            [line["decision"] == "known" for line in mine],
        )
        assert {
            one.value: (one.known, one.written, one.cells, one.filled, one.correct, one.abstained)
            for one in score.values
        } == expected
        assert score.reasons["\u2026 has probability \u2026, not above \u2026"] == sum(
            line["decision"] == "abstained" for line in mine
        )
        assert score.reasons["bad image"] == sum(line["decision"] == "bad_image" for line in mine)
        shown = [line for line in judged if line["value"] is not None]
        points = figures.risk_points(
            [line["probability"] for line in shown],
            [line["value"] == told[line["id"]][attribute] for line in shown],
        )
        assert score.curve.risk == pytest.approx([risk for _, _, risk in points])


def test_without_truth_nothing_is_judged_and_the_promise_is_shown(run, tmp_path):
    folder, _, _ = run
    report = build_report([], fill_run=read_fill_run(folder))
    record = report.metrics.fills["colour"]
    assert (record.cells, record.precision, record.coverage) == (0, None, None)
    assert record.promise.at_least == 0.91
    assert report.metrics.fills["shape"].promise is None
    page = write_report(report, tmp_path / "out").page.read_text(encoding="utf-8")
    assert "No true values were given" in page
    assert "91.0" in page


def test_truth_in_other_words_is_understood_by_the_runs_own_schema(run):
    folder, lines, _ = run
    ids = sorted({line["id"] for line in lines})
    words = ["scarlet ", "RED", "n/a", "", None, "green"]
    truth = pa.table({"id": ids, "colour": [words[i % 6] for i in range(len(ids))]})
    cells = read_fill_run(folder, truth=truth).cells
    for line, attribute, true in zip(lines, cells.attribute, cells.truth, strict=True):
        name = None if true < 0 else cells.values[true]
        word = words[ids.index(line["id"]) % 6]
        if cells.attributes[attribute] == "shape":
            assert name is None
        else:
            expected = {"scarlet ": "red", "RED": "red", "green": "green"}.get(word)
            assert name == expected


def test_doubtful_cells_are_of_their_kind_and_show_their_image(run, tmp_path):
    folder, lines, truth = run
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "a.png")
    images = pa.table({"id": truth.column("id"), "image": ["a.png"] * 120})
    read = read_fill_run(folder, truth=truth, images=images, image_folder=tmp_path)
    report = build_report([], fill_run=read, examples=4)
    told = {row["id"]: row for row in truth.to_pylist()}
    for attribute, kinds in report.doubtful.items():
        mine = [line for line in lines if line["attribute"] == attribute and line["probability"]]
        by_title = {kind.title: kind for kind in kinds}
        mistakes = [
            line["probability"]
            for line in mine
            if line["decision"] == "filled"
            and told[line["id"]][attribute] not in (None, line["value"])
        ]
        shown = by_title["Surest mistakes"]
        assert shown.total == len(mistakes)
        assert [cell.probability for cell in shown.cells] == sorted(mistakes, reverse=True)[:4]
        left = [line["probability"] for line in mine if line["decision"] == "abstained"]
        shown = by_title["Just left empty"]
        assert [cell.probability for cell in shown.cells] == sorted(left, reverse=True)[:4]
        assert all(cell.picture.uri and cell.threshold == 0.5 for cell in shown.cells)
    page = write_report(report, tmp_path / "out").page.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_columns_of_attributes_and_what_is_a_run(run, tmp_path):
    folder, _, _ = run
    assert attribute_columns(folder) == {"colour": "farbe", "shape": "shape"}
    assert is_fill_run(folder)
    assert is_fill_run(folder / "ledger.parquet")
    assert not is_fill_run(tmp_path)


def test_ids_that_repeat_in_the_truth_are_refused(run):
    folder, _, truth = run
    with pytest.raises(ReportFault, match="the id 'i0' twice"):
        read_fill_run(folder, truth=pa.concat_tables([truth, truth.slice(0, 1)]))


def test_ledger_without_a_column_or_unreadable_is_refused(run):
    folder, _, _ = run
    table = pq.read_table(folder / "ledger.parquet")
    pq.write_table(table.drop_columns(["decision"]), folder / "ledger.parquet")
    with pytest.raises(ReportFault, match="no column 'decision'"):
        read_fill_run(folder)
    (folder / "ledger.parquet").write_text("x")
    with pytest.raises(ReportFault, match="not a readable ledger"):
        read_fill_run(folder)
