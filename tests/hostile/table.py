"""What is promised of damaged and hostile inputs, gathered from the tests that try them.

Every ``test_*.py`` of this folder says in ``PROMISES`` what holds, what was tried, and how many
inputs run. ``python -m tests.hostile.table`` writes their table into ``docs/guarantees.md``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN = "<!-- table: written by python -m tests.hostile.table -->"
END = "<!-- end of table -->"


@dataclass(frozen=True)
class Promise:
    """One row of the table.

    Attributes:
        area: what is attacked.
        holds: what comes out, whatever goes in.
        tried: which kinds of input, in words.
        inputs: how many of them run; the length of what the tests are parametrised with.
    """

    area: str
    holds: str
    tried: str
    inputs: int


def promises() -> dict[str, list[Promise]]:
    """Give the promises of each test module of this folder, by its name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    modules = {
        name: importlib.import_module(f"tests.hostile.{name}")
        for name in names
        if name != "test_table"
    }
    return {name: list(module.PROMISES) for name, module in modules.items()}


def markdown() -> str:
    """Give the table."""
    lines = ["| what | what holds | what was tried | inputs |", "| --- | --- | --- | ---: |"]
    total = 0
    for name, rows in promises().items():
        for row in rows:
            link = f"[{row.area}](../tests/hostile/{name}.py)"
            lines.append(f"| {link} | {row.holds} | {row.tried} | {row.inputs} |")
            total += row.inputs
    return "\n".join([*lines, f"| **together** | | | **{total}** |"])


def write() -> None:
    """Write the table into its page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = f"{before}{BEGIN}\n\n{markdown()}\n\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
