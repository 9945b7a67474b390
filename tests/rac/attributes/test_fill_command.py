"""``rac fill`` from the command line, with the toy encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

import rac.encoders
from rac.cli.fill import app as fill_app
from rac.cli.fill import fill
from rac.errors import InputError
from tests.toy import ToyEncoder


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(rac.encoders, "load_encoder", lambda name, **_: ToyEncoder("70"))


@pytest.fixture
def arguments(tmp_path: Path, write_catalogue: Callable[..., Path]) -> list[str]:
    schema = tmp_path / "schema.yaml"
    schema.write_text(
        "attributes:\n  colour: {target_precision: 0.9}\n  '[b]new': {values: [a, b]}\n"
    )
    table = write_catalogue(tmp_path / "shop")
    return [str(table), "--schema", str(schema), "-o", str(tmp_path / "run")]


def rac_fill(arguments: list[str], *more: str, fails: type[Exception] | None = None) -> Result:
    app = typer.Typer()
    app.command()(fill)
    result = CliRunner().invoke(app, [*arguments, *more])
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
    else:
        assert isinstance(result.exception, fails), (result.output, result.exception)
    return result


def test_the_closing_table_names_every_attribute(arguments: list[str], tmp_path: Path) -> None:
    result = rac_fill(arguments)
    for words in ("colour", "[b]new", "coverage", "precision", "at least", "0.9",
                  "new columns: [b]new", "filled.csv", "ledger.parquet"):  # fmt: skip
        assert words in result.output
    assert (tmp_path / "run" / "filled.csv").exists()


def test_json_on_standard_output_is_the_summary(arguments: list[str], tmp_path: Path) -> None:
    result = rac_fill(arguments, "--json", "--target", "0.8")
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert printed["attributes"]["colour"]["target_precision"] == 0.8
    assert printed["attributes"]["colour"]["filled"] > 0


def test_mistakes_are_told_as_such(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text("attributes: {colour: {valeus: [red]}}")
    error = rac_fill(arguments, fails=InputError).exception
    assert "schema.yaml: attribute 'colour': valeus" in str(error)
    (tmp_path / "schema.yaml").write_text("attributes: {colour: {}}")
    assert "--target" in str(rac_fill(arguments, "--target", "1.5", fails=InputError).exception)
    error = rac_fill(arguments, "--image", "picture", fails=InputError).exception
    assert "picture" in str(error)


def test_help_ends_with_an_example(arguments: list[str]) -> None:
    assert "rac fill products.csv --schema schema.yaml" in rac_fill(["--help"]).output


def test_a_table_without_rows_is_said_to_have_none_and_its_files_are_written(
    arguments: list[str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("id,image,colour\n")
    for more in ([], ["--plan"]):
        result = rac_fill([str(empty), *arguments[1:]], *more)
        assert "empty.csv has no rows" in result.output
        assert "coverage" not in result.output
    assert (tmp_path / "run" / "filled.csv").read_text() == "id,image,colour,[b]new\n"
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["rows"] == 0


def test_a_run_on_a_relative_path_is_explained_from_another_folder(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the run kept the path as it was given, and no later command found the table."""
    monkeypatch.chdir(tmp_path)
    relative = str(Path(arguments[0]).relative_to(tmp_path))
    rac_fill([relative, *arguments[1:]])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = CliRunner().invoke(fill_app, ["explain", str(tmp_path / "run"), "sku-3"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "sku-3" in (tmp_path / "run" / "explain.html").read_text()
