from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rac.stored_images import stored_images


def test_images_in_cells_are_found_by_id(tmp_path: Path) -> None:
    table = {"id": ["a", "b", "c"], "image": [b"A", b"B", None]}
    pq.write_table(pa.table(table), tmp_path / "items.parquet")
    source = str(tmp_path / "items.parquet")
    assert stored_images(source, {"b", "c", "gone"}) == {"b": b"B"}
    named = pq.read_table(source).rename_columns(["sku", "image"])
    pq.write_table(named, tmp_path / "items.parquet")
    assert stored_images(source, {"b"}, id="sku") == {"b": b"B"}


def test_paths_are_left_to_others_and_a_table_that_is_gone_has_none(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,image\na,a.png\n")
    assert stored_images(str(tmp_path / "items.csv"), {"a"}) == {}
    assert stored_images(str(tmp_path / "gone.csv"), {"a"}) == {}
    assert stored_images("hub:somebody/something", {"a"}) == {}
