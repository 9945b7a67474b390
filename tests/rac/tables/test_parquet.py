"""Parquet files: piece by piece, and with the same schema again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.errors import InputError
from rac.tables import open_table, write_like
from rac.tables.parquet_table import ParquetTable


def shop() -> pa.Table:
    schema = pa.schema(
        [
            pa.field("sku", pa.int32(), nullable=False),
            pa.field("image", pa.large_binary()),
            pa.field("colour", pa.dictionary(pa.int8(), pa.string()), metadata={"unit": "none"}),
            pa.field("price", pa.decimal128(8, 2)),
            pa.field("seen", pa.timestamp("ns", tz="UTC")),
            pa.field("tags", pa.list_(pa.string())),
        ],
        metadata={"owner": "shop"},
    )
    return pa.table(
        [
            pa.array([1, 2, 3], pa.int32()),
            pa.array([b"a", b"", None], pa.large_binary()),
            pa.array(["red", None, "red"]).dictionary_encode().cast(schema.field(2).type),
            pa.array([1, 2, None], pa.decimal128(8, 2)),
            pa.array([1_700_000_000_000_000_001, None, 0], pa.timestamp("ns", tz="UTC")),
            pa.array([["a"], [], None]),
        ],
        schema=schema,
    )


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none", "gzip"])
def test_written_again_it_is_the_same(tmp_path: Path, compression: str) -> None:
    pq.write_table(shop(), tmp_path / "shop.parquet", compression=compression)
    table = open_table(tmp_path / "shop.parquet")
    assert table.num_rows() == 3
    path = write_like(table, tmp_path / "out", "filled", table.batches(2))
    again = pq.read_table(path)
    assert again.equals(shop())
    before = pq.read_schema(tmp_path / "shop.parquet")
    assert again.schema.equals(before, check_metadata=True)
    codec = pq.ParquetFile(path).metadata.row_group(0).column(0).compression
    assert codec == ("UNCOMPRESSED" if compression == "none" else compression.upper())


def test_cells_can_be_set_in_every_type_that_a_text_fits(tmp_path: Path) -> None:
    pq.write_table(shop(), tmp_path / "shop.parquet")
    table = open_table(tmp_path / "shop.parquet")
    batch = next(table.batches())
    for column, text in (("sku", "9"), ("colour", "blue"), ("tags", "b")):
        batch = table.with_cells(batch, column, {1: text})
    batch = table.with_cells(batch, "sleeve", {0: "long"})
    again = pq.read_table(write_like(table, tmp_path / "out", "x", [batch])).to_pydict()
    assert again["sku"] == [1, 9, 3]
    assert again["colour"] == ["red", "blue", "red"]
    assert again["tags"] == [["a"], ["b"], None]
    assert again["sleeve"] == ["long", None, None]
    assert again["seen"][0].value == 1_700_000_000_000_000_001
    with pytest.raises(InputError, match="'price' holds decimal"):
        table.with_cells(batch, "price", {0: "cheap"})


def test_pandas_labels_that_became_floats(tmp_path: Path) -> None:
    """A whole-number column with a gap is read by pandas as floats: 3 becomes 3.0."""
    data = pa.table({"image": ["a", "b", "c"], "label": [3.0, float("nan"), None]})
    pq.write_table(data, tmp_path / "x.parquet")
    table = open_table(tmp_path / "x.parquet")
    assert [item.label for item in table.items(next(table.batches()))] == ["3", None, None]


def test_large_cells_make_small_batches(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(4_000_000)
    data = pa.table({"image": pa.array([noise] * 40, pa.binary())})
    pq.write_table(data, tmp_path / "x.parquet", use_dictionary=False)
    table = open_table(tmp_path / "x.parquet")
    sizes = [batch.num_rows for batch in table.batches(1024)]
    assert sum(sizes) == 40
    assert max(sizes) <= 17


def test_ids_run_on_across_files_and_batches(tmp_path: Path) -> None:
    for name, cells in (("a", ["1", "2", "3"]), ("b", ["4"])):
        pq.write_table(pa.table({"image": cells}), tmp_path / f"{name}.parquet")
    table = ParquetTable("both", [tmp_path / "a.parquet", tmp_path / "b.parquet"], {})
    items = [item for batch in table.batches(2) for item in table.items(batch)]
    assert [(item.id, item.image) for item in items] == [
        ("0", "1"),
        ("1", "2"),
        ("2", "3"),
        ("3", "4"),
    ]
    assert table.num_rows() == 4


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        open_table(path)
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(InputError, match="more than one column is called 'a'"):
        open_table(path)


def test_an_empty_table(tmp_path: Path) -> None:
    pq.write_table(shop().slice(0, 0), tmp_path / "x.parquet")
    table = open_table(tmp_path / "x.parquet")
    assert list(table.batches()) == []
    assert pq.read_table(write_like(table, tmp_path / "out", "x", table.batches())).num_rows == 0
