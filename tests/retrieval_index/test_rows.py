from __future__ import annotations

import pyarrow as pa
import pytest

from retrieval_index import BadRows, DuplicateId, make_rows
from retrieval_index.rows import COLUMNS, append_rows, check_rows


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
    with pytest.raises(DuplicateId, match="1 id is more than once: 'b'"):
        make_rows(["a", "b", "c", "b", "b"])
    with pytest.raises(DuplicateId, match=r"7 ids are more than once: .* and 2 more"):
        make_rows([str(i % 7) for i in range(14)])


def test_lists_must_match() -> None:
    with pytest.raises(BadRows, match="2 ids but 1 values of label"):
        make_rows(["a", "b"], labels=["x"])
    with pytest.raises(BadRows, match="'label' must hold strings"):
        make_rows(["a"], labels=[3])  # type: ignore[list-item]


def test_no_rows_at_all() -> None:
    assert len(make_rows([])) == 0


def test_appending() -> None:
    old = check_rows(pa.table({"id": ["a"], "price": [1]}))
    both = append_rows(old, make_rows(["b"], labels=["x"]))
    assert both.column("id").to_pylist() == ["a", "b"]
    assert both.column("price").to_pylist() == [1, None]
    with pytest.raises(DuplicateId, match="1 id is already in the memory: 'a'"):
        append_rows(old, make_rows(["b", "a"]))
    with pytest.raises(BadRows, match="no column 'size'"):
        append_rows(old, check_rows(pa.table({"id": ["b"], "size": [1]})))
    with pytest.raises(BadRows, match="'price' is string in the new rows and int64"):
        append_rows(old, check_rows(pa.table({"id": ["b"], "price": ["1"]})))
