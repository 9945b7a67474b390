from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.errors import InputError
from rac.fill_runs import open_fill_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was asked for the colour of two rows of a table; a third row had one."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/items.csv").write_text("id,image,colour\n1,a.png,red\n2,b.png,\n3,c.png,\n")
    cells = pa.table(
        {
            "id": ["2", "3"],
            "attribute": ["colour", "colour"],
            "decision": ["filled", "abstained"],
            "value": ["red", "blue"],
            "probability": [0.9, 0.4],
            "reason": [None, "too doubtful"],
        }
    )
    noted = json.dumps({"table": str(tmp_path / "shop/items.csv")})
    (tmp_path / "run").mkdir()
    pq.write_table(
        cells.replace_schema_metadata({"rac.ledger": noted}), tmp_path / "run/ledger.parquet"
    )
    return tmp_path / "run"


def test_images_are_those_of_the_filled_table_and_values_those_of_the_truth(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "truth.csv").write_text("colour,id\nblue,3\ngreen,2\n")
    read = open_fill_run(run, truth=str(tmp_path / "truth.csv"))
    assert read.images is not None
    assert read.images.to_pydict() == {
        "id": ["1", "2", "3"],
        "image": ["a.png", "b.png", "c.png"],
    }
    assert read.image_folder == tmp_path / "shop"
    assert [read.cells.values[value] for value in read.cells.truth] == ["green", "blue"]
    assert (read.known["colour"].total, read.known["colour"].values) == (1, {"red": 1})


def test_without_the_filled_table_images_are_those_of_the_truth(run: Path, tmp_path: Path) -> None:
    (tmp_path / "shop/items.csv").unlink()
    (tmp_path / "truth.csv").write_text("id,image,colour\n3,z.png,blue\n")
    read = open_fill_run(run, truth=str(tmp_path / "truth.csv"))
    assert read.images is not None
    assert read.images.column("image").to_pylist() == ["z.png"]
    assert read.known == {}
    assert open_fill_run(run).images is None


def test_a_truth_of_other_things_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("id,shape\n3,round\n")
    with pytest.raises(InputError, match="has none of the run's columns colour; it has id, shape"):
        open_fill_run(run, truth=str(tmp_path / "truth.csv"))
