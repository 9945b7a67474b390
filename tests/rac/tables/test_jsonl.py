"""JSON lines keep their types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rac.errors import InputError
from rac.tables import open_table, write_like


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "shop.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


ROWS: tuple[dict[str, Any], ...] = (
    {"sku": 1, "image": "a.png", "price": 1.5, "new": True, "tags": ["x", "y"], "mixed": 1},
    {"sku": 2, "image": None, "price": 2.0, "new": False, "tags": [], "mixed": "1", "extra": "ä"},
    {"sku": 3, "image": "c.png", "price": None, "new": None, "tags": None, "mixed": {"a": [1]}},
    {
        "sku": 2**53 + 1,
        "image": "d\n.png",
        "price": 0.1,
        "new": True,
        "tags": ["z"],
        "mixed": 2**70,
    },
)


def test_types(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, *ROWS))
    assert table.num_rows() == 4
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["sku"] == pa.int64()
    assert kinds["price"] == pa.float64()
    assert kinds["new"] == pa.bool_()
    batch = next(table.batches())
    assert table.strings(batch, "sku") == ["1", "2", "3", "9007199254740993"]
    assert table.strings(batch, "price") == ["1.5", "2", None, "0.1"]
    assert table.strings(batch, "new") == ["true", "false", None, "true"]
    assert table.strings(batch, "mixed") == ["1", "1", '{"a": [1]}', str(2**70)]
    assert [item.id for item in table.items(batch)][:2] == ["1", "2"]
    assert table.items(batch)[1].image is None


def test_written_again_they_are_the_same_objects(tmp_path: Path) -> None:
    source = written(tmp_path, *ROWS)
    table = open_table(source)
    path = write_like(table, tmp_path / "out", "filled", table.batches(2))
    assert path.read_bytes() == source.read_bytes()


def test_new_values_in_the_column_s_type(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, *ROWS))
    batch = next(table.batches())
    for column, text in (("sku", "7"), ("price", "2.5"), ("new", "false"), ("mixed", "5")):
        batch = table.with_cells(batch, column, {2: text})
    batch = table.with_cells(batch, "colour", {2: "red"})
    path = write_like(table, tmp_path / "out", "filled", [batch])
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert found[2]["sku"] == 7
    assert found[2]["price"] == 2.5
    assert found[2]["new"] is False
    assert found[2]["mixed"] == "5"
    assert found[2]["colour"] == "red"
    assert {k: v for k, v in found[0].items() if k != "colour"} == ROWS[0]


def test_bad_values_for_a_type_are_refused(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, *ROWS))
    batch = next(table.batches())
    with pytest.raises(InputError, match="'sku' holds int64; 'red'"):
        table.with_cells(batch, "sku", {0: "red"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', "line 2"),
        ('{"a": 1}\n\n[1]\n', "line 3: not a JSON object"),
        ('{"a": 1, "a": 2}\n', "'a' occurs twice"),
        ("", "empty"),
        ('{"a": "\\ud800"}\n{"a": 1}\nnope\n', "line 3"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        open_table(path)


def test_a_lone_surrogate_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "\\ud800"}\r\n{"id": "2", "text": "b"}')
    table = open_table(path)
    again = write_like(table, tmp_path / "out", "x", table.batches())
    assert again.read_bytes() == path.read_bytes()


def test_what_did_not_change_stays_as_it_was_written(tmp_path: Path) -> None:
    """Numbers, spaces, escapes and the order of keys are the shop's; only the new value is ours,
    and taking its column out again gives the same bytes."""
    data = '{"id":"1","price":1.50,"colour":null}\n\n{ "colour": "\\u0072ed",  "price": 1E2 }\r\n{}'
    path = tmp_path / "shop.jsonl"
    path.write_bytes(data.encode())
    table = open_table(path)
    batch = next(table.batches())
    batch = table.with_cells(batch, "colour", {0: "blue"})
    batch = table.with_cells(batch, "size", {0: "S", 1: "M", 2: "L"})
    filled = write_like(table, tmp_path / "out", "filled", [batch])
    assert filled.read_bytes().decode() == (
        '{"id":"1","price":1.50,"colour":"blue","size":"S"}\n\n'
        '{ "colour": "\\u0072ed",  "price": 1E2,  "size": "M" }\r\n{"size": "L"}'
    )
    again = open_table(filled)
    batch = again.with_cells(next(again.batches()), "colour", {})
    batch = batch.select(["id", "price", "colour"])
    back = write_like(again, tmp_path / "out", "back", [batch], without=["size"])
    assert back.read_bytes().decode() == data.replace("null", '"blue"')
