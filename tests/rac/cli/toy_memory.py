"""A catalogue of toys, and ``rac index`` as it is called on it."""

from __future__ import annotations

import csv
from pathlib import Path

from typer.testing import CliRunner, Result

from rac.cli.index import app
from tests.toy import write_toy_images

COLOURS = ["red", "red", "green", "green", "blue", "blue"]


def write_catalogue(
    folder: Path,
    colours: list[str],
    *,
    ids: list[str] | None = None,
    labels: list[str] | None = None,
) -> Path:
    """Write toys with a table of them; ids are item0, item1, …, and labels the colours."""
    names = write_toy_images(folder, colours)
    table = folder / "items.csv"
    ids = ids or [f"item{number}" for number in range(len(colours))]
    with open(table, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "label", "caption", "split"])
        for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
            label = (labels or colours)[number]
            split = "train" if number % 2 else "test"
            writer.writerow([ids[number], name, label, f"a {colour} [bold]thing", split])
    return table


def rac_index(*arguments: object, fails: type[Exception] | None = None) -> Result:
    """Run a command; it has to succeed, or to raise ``fails``."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if fails is None:
        assert result.exit_code == 0, (result.output, result.exception)
    else:
        assert isinstance(result.exception, fails), (result.output, result.exception)
    return result
