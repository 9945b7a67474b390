from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from eval.errors import ReportFault
from eval.train_counts import read_train_counts
from rac.cli.report import report

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
