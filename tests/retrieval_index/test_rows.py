from __future__ import annotations

import pyarrow as pa
import pytest

from retrieval_index import BadRows, DuplicateId, make_rows
from retrieval_index.rows import COLUMNS, check_rows, like_columns


def test_missing_columns_become_null_and_others_are_kept() -> None:
    rows = check_rows(pa.table({"price": [1, 2], "id": ["a", "b"]}))
    assert rows.column_names == [*COLUMNS, "price"]
    assert rows.column("label").to_pylist() == [None, None]
    assert rows.column("price").to_pylist() == [1, 2]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_other_kinds_of_strings_are_taken(kind: pa.DataType) -> None:
    rows = check_rows(pa.table({"id": pa.array(["a", "b"]).cast(kind)}))
    assert rows.schema.field("id").type == pa.string()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"name": ["a"]}), r"no column 'id'; the columns are \['name'\]"),
        (pa.table({"id": ["a", None]}), "1 of 2 ids are null, the first in row 1"),
        (pa.table({"id": [1, 2]}), "column 'id' must hold strings, it holds int64"),
        (pa.table({"id": ["a"], "label": [3]}), "column 'label' must hold strings"),
        (pa.table([["a"], ["b"]], names=["id", "id"]), "named twice"),
    ],
)
def test_unfit_tables_are_refused(table: pa.Table, message: str) -> None:
    with pytest.raises(BadRows, match=message):
        check_rows(table)


def test_repeated_ids_are_named() -> None:
    with pytest.raises(DuplicateId, match=r"but 1 id \('b'\) is there more than once"):
        make_rows(["a", "b", "c", "b", "b"])
    with pytest.raises(DuplicateId, match=r"7 ids \(.* and 2 more\) are there"):
        make_rows([str(i % 7) for i in range(14)])


def test_lists_must_match() -> None:
    with pytest.raises(BadRows, match="2 ids but 1 values of label"):
        make_rows(["a", "b"], labels=["x"])
    with pytest.raises(BadRows, match="'label' must hold strings"):
        make_rows(["a"], labels=[3])  # type: ignore[list-item]


def test_no_rows_at_all() -> None:
    assert len(make_rows([])) == 0


def test_the_columns_of_a_memory_are_taken_on() -> None:
    schema = check_rows(pa.table({"id": ["a"], "price": [1]})).schema
    rows = like_columns(make_rows(["b"], labels=["x"]), schema)
    assert rows.column_names == schema.names
    assert rows.column("label").to_pylist() == ["x"]
    assert rows.column("price").to_pylist() == [None]
    with pytest.raises(BadRows, match="the memory has no column 'size'"):
        like_columns(check_rows(pa.table({"id": ["b"], "size": [1]})), schema)
    with pytest.raises(BadRows, match="column 'price' is string in the new rows and int64"):
        like_columns(check_rows(pa.table({"id": ["b"], "price": ["1"]})), schema)
