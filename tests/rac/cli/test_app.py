"""The command line from outside: help with an example everywhere, exit codes, clean messages."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from eval.errors import ReportFault
from rac.cli import app as app_module
from rac.cli.app import app, main
from rac.errors import InputError, JobFailed
from retrieval_index.errors import MemoryFault


def commands() -> list[tuple[str, ...]]:
    """Every command of the tree as the words that reach it."""

    def walk(command: click.Command, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return [words]
        return [found for name, one in inner.items() for found in walk(one, (*words, name))]

    return walk(typer.main.get_command(app), ())


def test_the_fixed_commands_are_there() -> None:
    fixed = {
        ("data", "list"),
        ("data", "show"),
        ("data", "prepare"),
        ("embed",),
        ("index", "build"),
        ("index", "search"),
        ("predict",),
        ("report",),
        ("fill", "run"),
        ("zero-shot",),
        ("encoders",),
        ("doctor",),
        ("quickstart",),
    }
    assert fixed <= set(commands())
    assert any(words[0] == "train" for words in commands())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Example" in result.output
    assert f"rac {words[0]}" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("table.csv has no column 'colour'"), 2),
        (MemoryFault("the memory was made with another encoder"), 2),
        (ReportFault("row 3: NaN"), 2),
        (JobFailed("too many bad images"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes_without_a_traceback(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    said = capsys.readouterr()
    assert said.out == ""
    assert str(error) in said.err
    assert "Traceback" not in said.err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["rac", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return call


def test_bad_usage_is_2(run: Callable[..., int]) -> None:
    assert run("embed") == 2
    assert run("no-such-command") == 2


def test_a_file_in_the_place_of_the_folder_to_write_is_2(
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Guards against the traceback of a mkdir; nothing is read before."""
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    assert run("embed", "no-such.csv", "-o", "taken") == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, 2), (errno.ENOSPC, 1)])
def test_a_place_that_cannot_be_written_is_named(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, "that is not possible", "runs/out")

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "rac: runs/out: that is not possible\n"


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EBADF, "a descriptor that was closed")

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(OSError, match="descriptor"):
        main()


def test_a_wrong_table_is_2_and_named(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("embed", str(tmp_path / "none.csv"), "-o", str(tmp_path / "out")) == 2
    assert "none.csv" in capsys.readouterr().err


def test_encoders_shows_the_card_of_one(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("encoders", "mini") == 0
    assert "## Limits" in capsys.readouterr().out
    (tmp_path / "README.md").write_text("# mine\n")
    assert run("encoders", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["card"] == "# mine\n"
    assert run("encoders", "ViT-B-32/openai") == 2
    assert "ViT-B-32/openai: no model card" in capsys.readouterr().err


def test_encoders_and_doctor_print_json(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path))
    assert run("encoders", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["name"] == "mini"
    assert run("doctor", "--json") == 0
    findings = json.loads(capsys.readouterr().out)
    assert {finding["topic"] for finding in findings} >= {"Python", "torch", "cache"}
