from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.attributes.attribute import Attribute
from rac.attributes.cells import OUTSIDE, vocabulary_of
from rac.attributes.columns import CellReader, DistinctCells, check_columns, fill_column
from rac.attributes.schema import parse_schema
from rac.errors import InputError, JobFailed
from rac.tables import Table, open_table

COLOUR = Attribute(name="colour")


def table_of(folder: Path, columns: dict[str, pa.Array]) -> tuple[Table, pa.RecordBatch]:
    rows = len(next(iter(columns.values())))
    cells = {"image": pa.array(["a.png"] * rows), **columns}
    pq.write_table(pa.table(cells), folder / "t.parquet")
    table = open_table(folder / "t.parquet")
    return table, next(iter(table.batches()))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (pa.array(["red", None, "=1+1"]), "blue", ["red", "blue", "=1+1"]),
        (pa.array(["red", None, "n/a"]).dictionary_encode(), "blue", ["red", "blue", "n/a"]),
        (pa.array([38, None, 40], pa.int16()), "39", [38, 39, 40]),
        (pa.array([True, None, False]), "true", [True, True, False]),
        (pa.array([0.1, None, -0.0]), "0.5", [0.1, 0.5, -0.0]),
    ],
)
def test_a_cell_is_filled_in_its_columns_type(
    tmp_path: Path, column: pa.Array, value: str, expected: list[object]
) -> None:
    table, batch = table_of(tmp_path, {"colour": column})
    filled = fill_column(table, batch, COLOUR, {1: value})
    assert filled.column("colour").type == batch.column("colour").type
    assert filled.column("colour").to_pylist() == expected


def test_a_nan_is_missing_and_one_that_stays_is_not_a_change(tmp_path: Path) -> None:
    """A NaN differs from itself, so a plain comparison would see a change where there is none."""
    table, batch = table_of(tmp_path, {"colour": pa.array([1.0, math.nan, math.nan])})
    cells = fill_column(table, batch, COLOUR, {1: "2"}).column("colour").to_pylist()
    assert cells[:2] == [1.0, 2.0]
    assert math.isnan(cells[2])


def test_a_known_cell_cannot_be_overwritten(tmp_path: Path) -> None:
    table, batch = table_of(tmp_path, {"colour": pa.array(["red", None])})
    with pytest.raises(JobFailed, match="'red' would be overwritten"):
        fill_column(table, batch, COLOUR, {0: "blue"})


def test_a_writer_that_changes_other_cells_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, batch = table_of(tmp_path, {"colour": pa.array(["red", None])})

    def careless(rows: pa.RecordBatch, column: str, values: object) -> pa.RecordBatch:
        return rows.set_column(1, column, pa.array(["RED", "blue"]))

    monkeypatch.setattr(table, "with_cells", careless)
    monkeypatch.setattr("rac.attributes.columns._is_plain_text", lambda *_: False)
    with pytest.raises(JobFailed, match="would have changed"):
        fill_column(table, batch, COLOUR, {1: "blue"})


def test_a_column_that_is_not_there_is_added(tmp_path: Path) -> None:
    table, batch = table_of(tmp_path, {"size": pa.array([1, 2])})
    assert check_columns(parse_schema("attributes: {colour: {}}"), table.schema, {}) == ["colour"]
    filled = fill_column(table, batch, COLOUR, {1: "red"})
    assert filled.schema.names == ["image", "size", "colour"]
    assert filled.column("colour").to_pylist() == [None, "red"]


@pytest.mark.parametrize(
    ("column", "taken", "message"),
    [
        (pa.array([["red"]]), {}, "list"),
        (pa.array([b"red"]), {}, "binary"),
        (pa.nulls(1), {}, "no type"),
        (pa.array(["red"]), {"id": "colour"}, "holds the ids"),
    ],
)
def test_columns_that_cannot_be_filled_are_refused(
    column: pa.Array, taken: dict[str, str | None], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_columns(
            parse_schema("attributes: {colour: {}}"), pa.table({"colour": column}).schema, taken
        )
    assert "attribute 'colour'" in str(caught.value)


def test_values_come_from_the_column_in_their_commonest_spelling() -> None:
    cells = ["Red", "red", "red ", "n/a", None, "dark  blue", ""]
    words = vocabulary_of(COLOUR, cells)
    assert words.names == ("dark  blue", "Red")
    assert words.codes(cells).tolist() == [1, 1, 1, -1, -1, 0, -1]


def test_a_reader_in_batches_reads_as_one(tmp_path: Path) -> None:
    cells = ["red", None, "blue", "red", "teal", "n/a"]
    for text in ("attributes: {colour: {values: [blue, red]}}", "attributes: {colour: {}}"):
        attribute = parse_schema(text).attributes["colour"]
        reader = CellReader(attribute)
        for start in range(0, 6, 4):
            reader.read(DistinctCells.of(cells[start : start + 4]))
        words, codes = reader.finish()
        assert words.names == vocabulary_of(attribute, cells).names
        assert codes.tolist() == words.codes(cells).tolist()
        assert (codes[4] == OUTSIDE) == (attribute.values is not None)


def test_free_text_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rac.attributes.cells.MAX_VALUES", 3)
    assert vocabulary_of(COLOUR, ["a", "b", "c"]).names == ("a", "b", "c")
    with pytest.raises(InputError, match=r"'colour'.*more than 3 different values"):
        vocabulary_of(COLOUR, ["a", "b", "c", "d"])


def test_cells_with_several_values_are_read_in_any_order_and_written_in_one() -> None:
    colour = parse_schema("attributes: {colour: {multiple: yes, values: [red, blue, green]}}")
    words = vocabulary_of(
        colour.attributes["colour"], ["blue,red", "red, blue", "red", "teal, red"]
    )
    assert words.names == ("red", "blue", "green", "red, blue")
    assert words.codes(["blue ,red", "red,blue", "green", "teal, red", "red, red"]).tolist() == [
        3, 3, 2, OUTSIDE, 0,
    ]  # fmt: skip


def test_distinct_cells_are_the_same_from_arrow_and_from_lists(tmp_path: Path) -> None:
    cells = ["red", None, " ", "red", "blue", ""]
    table, batch = table_of(tmp_path, {"colour": pa.array(cells)})
    read = DistinctCells.read(table, batch, "colour")
    assert [read.texts[number] for number in read.numbers] == [
        "red",
        None,
        None,
        "red",
        "blue",
        None,
    ]
    absent = DistinctCells.read(table, batch, "shade")
    assert [absent.texts[number] for number in absent.numbers] == [None] * 6
