"""The way of a cell, as the page tells it, is the way that a cell takes."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from rac.attributes.evidence.registry import SOURCES
from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.fill import fill_table
from rac.attributes.schema import parse_schema
from rac.tables import open_table
from tests.toy import ToyEncoder, write_toy_images

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "architecture.md"
_STOP = re.compile(r"^\| (\d+) \| (\w+) \| `(rac\.[\w.]+)` \|", re.MULTILINE)


def stops() -> list[list[tuple[str, str]]]:
    """Give for each table of the page its stops, each a room and a function."""
    tables: list[list[tuple[str, str]]] = []
    for number, room, name in _STOP.findall(PAGE.read_text(encoding="utf-8")):
        if number == "1":
            tables.append([])
        tables[-1].append((room, name))
    return tables


def function(name: str) -> Callable[..., Any]:
    """Find a function or method by its dotted name."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"no module of {name}")


def codes(name: str) -> list[CodeType]:
    """Give the code of a stop; of an evidence source, that of each source there is."""
    if name.startswith(f"{EvidenceSource.__module__}."):
        return [getattr(source, name.rpartition(".")[2]).__code__ for source in SOURCES]
    found = function(name)
    return [found.__code__]


def called(folder: Path) -> list[CodeType]:
    """Fill a small catalogue; give the codes that are called, in the order of their first call."""
    colours = [("red", "green", "blue")[row % 3] for row in range(120)]
    names = write_toy_images(folder, colours)
    lines = [
        f"{row},{name},{'' if row % 5 == 0 else colour}"
        for row, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]
    (folder / "items.csv").write_text("\n".join(["id,image,colour", *lines]) + "\n", "utf-8")
    seen: dict[CodeType, None] = {}
    decide_all = function("rac.attributes.decide_job.decide_all").__code__

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        if frame.f_code is decide_all:
            # Fitting calls sources too, about other cells.
            for code in late:
                seen.pop(code, None)
        seen.setdefault(frame.f_code)

    cell = stops()[0]
    place = [name for _, name in cell].index("rac.attributes.decide_job.decide_all")
    late = {code for _, name in cell[place:] for code in codes(name)}
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    table = open_table(folder / "items.csv")
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        fill_table(table, schema, ToyEncoder(), folder / "run", workers=1, progress=False)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(seen)


def test_a_cell_takes_the_way_that_the_page_tells(tmp_path: Path) -> None:
    cell, fitting = stops()
    order = {code: place for place, code in enumerate(called(tmp_path))}
    for table in (cell, fitting):
        first = [
            min(order[code] for code in codes(name) if code in order)
            for _, name in table
            if any(code in order for code in codes(name))
        ]
        assert len(first) == len(table), "a stop of the page is never called"
        assert first == sorted(first)


def test_the_way_is_short() -> None:
    cell, _ = stops()
    rooms = [room for room, _ in cell]
    assert len(cell) <= 12
    assert len(set(rooms)) <= 6
    visited = [room for place, room in enumerate(rooms) if place == 0 or rooms[place - 1] != room]
    assert len(visited) - len(set(visited)) <= 3, "it turns back too often"


def test_every_function_that_the_page_names_is_there() -> None:
    names = re.findall(r"`(rac\.attributes\.[\w.]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(names) >= 19
    for name in names:
        assert callable(function(name)), name


@pytest.mark.parametrize("name", re.findall(r"`(rac/\w+|eval|training|retrieval_index)`",
                                            PAGE.read_text(encoding="utf-8")))  # fmt: skip
def test_every_room_that_the_page_names_is_there(name: str) -> None:
    assert (PAGE.parent.parent / name).is_dir()
