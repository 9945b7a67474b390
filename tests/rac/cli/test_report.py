from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from eval.errors import ReportFault
from eval.predictions import Predictions, write_predictions
from eval.train_counts import read_classes, read_train_counts
from rac.cli.report import report
from rac.errors import JobFailed

app = typer.Typer()
app.command()(report)


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "ours.csv"
    path.write_text("id,label,prediction\n1,a,a\n2,a,b\n3,b,b\n4,c,a\n")
    return path


def test_three_files_and_a_summary(table, tmp_path):
    counts = tmp_path / "train.csv"
    counts.write_text("label\n" + "a\n" * 200 + "b\n" * 50 + "c\n")
    result = run(table, "-o", tmp_path / "out", "--train-counts", counts)
    assert result.exit_code == 0, result.output
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["metrics.json", "per_class.csv", "report.html"]
    assert "50.0" in result.stdout


def test_json_is_the_metrics_and_nothing_else(table, tmp_path):
    other = tmp_path / "theirs.csv"
    other.write_text(table.read_text())
    result = run(table, other, "-o", tmp_path / "out", "--json")
    said = json.loads(result.stdout)
    assert [one["name"] for one in said["runs"]] == ["ours", "theirs"]
    assert said == json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_fault_writes_nothing(tmp_path):
    (tmp_path / "p.csv").write_text("id,label\n1,a\n")
    result = run(tmp_path / "p.csv", "-o", tmp_path / "out")
    assert isinstance(result.exception, ReportFault)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two(tmp_path):
    """Forty rows, all right in the old run; every other one is wrong in the new one."""
    old = ["id,label,prediction", *(f"{i},{'ab'[i % 2]},{'ab'[i % 2]}" for i in range(40))]
    new = ["id,label,prediction", *(f"{i},{'ab'[i % 2]},a" for i in range(40))]
    (tmp_path / "old.csv").write_text("\n".join(old))
    (tmp_path / "new.csv").write_text("\n".join(new))
    return tmp_path / "old.csv", tmp_path / "new.csv"


def test_a_worse_run_fails_the_gate_and_still_has_its_report(two, tmp_path):
    result = run(*two, "-o", tmp_path / "out", "--fail-if-worse", "macro:0.01")
    assert isinstance(result.exception, JobFailed)
    assert "macro fell by 50.0 points from old to new (0.01 is allowed)" in str(result.exception)
    assert "worse by more than noise: top1, macro, harmonic, class b" in result.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    better = run(*reversed(two), "-o", tmp_path / "out", "--fail-if-worse", "macro:0.01")
    assert better.exit_code == 0, better.output
    noise = run(two[0], two[0], "-o", tmp_path / "out", "--fail-if-worse", "class")
    assert isinstance(noise.exception, ReportFault), "one file twice cannot be told apart"


@pytest.mark.parametrize("gate", ["macro", "class", "class:0.5", "top1:0.49"])
def test_gates_by_noise_and_by_class(two, tmp_path, gate):
    result = run(*two, "-o", tmp_path / "out", "--fail-if-worse", gate)
    assert isinstance(result.exception, JobFailed)


def test_a_gate_needs_two_runs_and_a_known_figure(two, tmp_path):
    alone = run(two[0], "-o", tmp_path / "out", "--fail-if-worse", "macro")
    assert "two or more" in str(alone.exception)
    assert not (tmp_path / "out").exists()
    unknown = run(*two, "-o", tmp_path / "out", "--fail-if-worse", "best")
    assert "'best' is not a figure" in str(unknown.exception)


def test_files_that_say_one_name_go_by_their_paths(tmp_path):
    made = Predictions(name="rac", ids=["1"], labels=["a"], predictions=["a"], classes=["a"])
    files = [write_predictions(made, tmp_path / folder / "p.parquet") for folder in "xy"]
    result = run(*files, "-o", tmp_path / "out", "--json")
    said = json.loads(result.stdout)
    assert [one["name"] for one in said["runs"]] == [str(file) for file in files]


def test_test_images_among_the_training_table_are_refused_unless_forced(tmp_path):
    same, other = "ab" * 32, "cd" * 32
    (tmp_path / "p.csv").write_text(f"id,label,prediction,content_hash\n1,a,a,{same}\n2,b,a,\n")
    (tmp_path / "train.csv").write_text(f"label,content_hash\na,{same}\nb,{other}\n")
    given = (tmp_path / "p.csv", "-o", tmp_path / "out", "--train-counts", tmp_path / "train.csv")
    result = run(*given)
    assert isinstance(result.exception, ReportFault)
    assert "1 test rows hold images that were trained on ('1')" in str(result.exception)
    assert not (tmp_path / "out").exists()
    assert run(*given, "--force").exit_code == 0
    assert "Do not trust" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def filled(tmp_path):
    """A fill run of three rows of a table, whose last cell was filled wrongly."""
    table = tmp_path / "shop.csv"
    table.write_text("id,image,colour\n1,a.png,red\n2,b.png,\n3,c.png,\n")
    (tmp_path / "truth.csv").write_text("id,image,colour\n3,c.png,blue\n2,b.png,red\n")
    lines = [
        {"id": "1", "decision": "known", "value": "red", "probability": None},
        {"id": "2", "decision": "filled", "value": "red", "probability": 0.9},
        {"id": "3", "decision": "filled", "value": "red", "probability": 0.8},
    ]
    cells = pa.Table.from_pylist([line | {"attribute": "colour", "reason": None} for line in lines])
    noted = {b"rac.ledger": json.dumps({"table": str(table)}).encode()}
    folder = tmp_path / "fill"
    folder.mkdir()
    schema = cells.schema.set(cells.schema.get_field_index("reason"), pa.field("reason", "string"))
    pq.write_table(cells.cast(schema).replace_schema_metadata(noted), folder / "ledger.parquet")
    return folder


def test_a_fill_run_is_held_against_the_truth_by_id(filled, tmp_path):
    result = run(filled, "-o", tmp_path / "out", "--truth", tmp_path / "truth.csv", "--json")
    said = json.loads(result.stdout)
    assert said["runs"] == []
    colour = said["fills"]["colour"]
    assert (colour["known"], colour["cells"], colour["correct"]) == (1, 2, 1)
    assert colour["mistakes"] == [{"truth": "blue", "value": "red", "cells": 1}]


def test_a_fill_run_alone_finds_its_table_or_does_without(filled, tmp_path):
    assert run(filled, "-o", tmp_path / "out").exit_code == 0
    assert "missing" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "shop.csv").unlink()
    assert run(filled, "-o", tmp_path / "out").exit_code == 0
    assert "missing" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_cells_that_were_found_filled_are_counted_in_the_table(filled, tmp_path):
    """The ledger may leave out cells about which nothing was decided."""
    table = tmp_path / "shop.csv"
    table.write_text("id,colour\n" + "7,red\n8,red\n9,green\n2,\n3,\n")
    noted = {b"rac.ledger": json.dumps({"table": str(table)}).encode()}
    ledger = pq.read_table(filled / "ledger.parquet")
    asked = ledger.filter([one != "known" for one in ledger.column("decision").to_pylist()])
    pq.write_table(asked.replace_schema_metadata(noted), filled / "ledger.parquet")
    said = json.loads(run(filled, "-o", tmp_path / "out", "--json").stdout)["fills"]["colour"]
    assert (said["known"], said["empty"]) == (3, 2)
    assert {one["value"]: one["known"] for one in said["values"]} == {"red": 2, "green": 1}
    table.unlink()
    (filled / "summary.json").write_text('{"attributes": {"colour": {"known": 3}}}')
    said = json.loads(run(filled, "-o", tmp_path / "out", "--json").stdout)["fills"]["colour"]
    assert said["known"] == 3
    assert {one["value"]: one["known"] for one in said["values"]} == {"red": None}


def test_truth_that_does_not_fit_is_refused(filled, table, tmp_path):
    wrong = run(filled, "-o", tmp_path / "out", "--truth", table)
    assert "has none of the run's columns colour" in str(wrong.exception)
    alone = run(table, "-o", tmp_path / "out", "--truth", table)
    assert "--truth is for fill runs" in str(alone.exception)
    twice = run(filled, filled / "ledger.parquet", "-o", tmp_path / "out")
    assert "takes one fill run" in str(twice.exception)


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("t.csv", "label,count\na,3\nb,0\n", {"a": 3, "b": 0}),
        ("t.csv", "class,train_rows\n007,3\n", {"007": 3}),
        ("t.csv", "id,label\n1,a\n2,a\n3,\n", {"a": 2}),
        ("t.json", '{"a": 3}', {"a": 3}),
    ],
)
def test_train_counts_are_read_from_what_people_have(tmp_path, name, text, counts):
    (tmp_path / name).write_text(text)
    assert read_train_counts(tmp_path / name) == counts


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "label,count\na,x\n", "row 1, column 'count': 'x'"),
        ("t.csv", "label,count\na,-1\n", "row 1"),
        ("t.csv", "label,count\na,1\na,1\n", "row 2, column 'label': 'a' is there twice"),
        ("t.csv", "name\na\n", "no column 'label'"),
        ("t.json", "[1]", "one object"),
        ("t.json", '{"a": 1.5}', "class 'a'"),
        ("t.txt", "a", "read from"),
    ],
)
def test_faults_of_train_counts_name_the_place(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ReportFault, match=said):
        read_train_counts(tmp_path / name)


def test_a_file_of_classes_that_is_no_text_is_named(tmp_path):
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ReportFault, match=r"classes.txt: is not a text file in UTF-8"):
        read_classes(tmp_path / "classes.txt")
