"""Fill runs to be damaged: a small catalogue filled by the toy encoder, and what is done to it."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import rac.encoders
from rac.attributes.fill import fill_table
from rac.attributes.schema import parse_schema
from rac.attributes.summary import FillSummary
from rac.cli.app import _exit_code, _said, app
from rac.tables import open_table
from tests.toy import ToyEncoder, write_toy_images

COLOURS = ("red", "green", "blue", "yellow")
SCHEMA = "attributes: {colour: {values: [red, green, blue, yellow], target_precision: 0.6}}"
ROWS = 40


def write_shop(folder: Path, rows: int = ROWS, prefix: str = "sku") -> Path:
    """Write toy images and ``items.csv``: id, image, colour; two of five colours are missing."""
    colours = [COLOURS[row % 4] for row in range(rows)]
    names = write_toy_images(folder, colours)
    with open(folder / "items.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "colour"])
        for row, (name, colour) in enumerate(zip(names, colours, strict=True)):
            writer.writerow([f"{prefix}-{row}", name, "" if row % 5 in (0, 3) else colour])
    (folder / "schema.yaml").write_text(SCHEMA)
    return folder / "items.csv"


def fill(table: Path, out: Path, **options: Any) -> FillSummary:
    """Fill a table; attributes as in ``SCHEMA``."""
    return fill_table(
        open_table(table), parse_schema(SCHEMA), ToyEncoder(), out, progress=False, **options
    )


class Killed(BaseException):
    """Ends a job as a kill does: nothing catches it."""


@dataclass(frozen=True)
class Outcome:
    """What a command came to: its exit code, and all that a person reads of it."""

    code: int
    text: str


def rac_command(*arguments: object) -> Outcome:
    """Run a command; a traceback, or an error that is not one for people, fails the test."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        try:
            _command().main([str(one) for one in arguments], standalone_mode=False)
        except Exception as error:
            code = _exit_code(error)
            if code is None:
                raise AssertionError(f"a traceback from {arguments}") from error
            return Outcome(code, output.getvalue() + _said(error))
    return Outcome(0, output.getvalue())


@cache
def _command() -> Any:
    """The command line, made once: that takes longer than most jobs here."""
    return get_command(app)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every command load the toy encoder, and keep its cache to the test."""
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    # No test ends the machine: what is written is read back from its memory.
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(rac.encoders, "load_encoder", lambda name="mini", **_: ToyEncoder())


Damage = Callable[[Path], None]


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(500))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_itself(path: Path) -> None:
    """What cannot be read, whoever asks."""
    path.unlink()
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


def nest(path: Path) -> None:
    """JSON within the rules, nested far deeper than any of ours."""
    path.write_text('{"a": ' + "[" * 50_000 + "]" * 50_000 + "}")


def write_latin(path: Path) -> None:
    path.write_bytes(path.read_bytes() + "\u00e9".encode("latin-1"))


def write_wide(path: Path) -> None:
    path.write_bytes(path.read_text().encode("utf-16"))


def make_list(path: Path) -> None:
    path.write_text("[1, 2]")


def make_nan(path: Path) -> None:
    path.write_text('{"schema": NaN}')


def forget_all(path: Path) -> None:
    path.write_text("{}")


def flips(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Give so many single flipped bits: which byte, and the data with it."""
    draw = random.Random(seed)
    for _ in range(count):
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        yield place, bytes(changed)


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """Have a file hold something else for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def copy_run(source: Path, target: Path) -> Path:
    """Copy a run, whose record goes on naming the table and the copy that it was made with."""
    shutil.copytree(source, target)
    record = target / "run.json"
    if record.exists():
        from eval.sealed_json import seal
        from rac.attributes.run_folder import write_json

        said = json.loads(record.read_text())
        written = said["summary"]["files"].items()
        files = {kind: str(target / Path(one).name) for kind, one in written}
        write_json(record, seal({**said, "summary": {**said["summary"], "files": files}}))
    return target


def names_of(folder: Path) -> Sequence[str]:
    """Give all names below a folder, sorted."""
    return sorted(os.path.relpath(path, folder) for path in folder.rglob("*"))
