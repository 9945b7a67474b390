from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.errors import ReportFault
from eval.outcomes import reduce_predictions
from eval.predictions import (
    Predictions,
    open_predictions,
    read_predictions,
    write_predictions,
)


def assert_same(one: Predictions, other: Predictions) -> None:
    for name in ("name", "ids", "labels", "predictions", "classes", "image_folder", "images"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.metadata == other.metadata
    for name in ("confidence", "train_counts", "scores", "base_scores", "retrieval_scores"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None), name
        if first is not None:
            np.testing.assert_array_equal(first, second, name)
    for name in ("neighbour_ids", "neighbour_labels", "neighbour_images"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None), name
        if first is not None:
            assert [list(row) for row in first] == [list(row) for row in second]
    if one.neighbour_scores is not None:
        np.testing.assert_array_equal(
            np.asarray(one.neighbour_scores, np.float32).reshape(-1),
            np.asarray(other.neighbour_scores, np.float32).reshape(-1),
        )


@pytest.mark.parametrize("rows", [0, 1, 60])
def test_round_trip_of_everything(make_predictions, tmp_path, rows):
    made = make_predictions(rows=rows, image_folder="photos", images=["a.jpg"] * rows)
    write_predictions(made, tmp_path / "p.parquet")
    assert_same(made, read_predictions(tmp_path / "p.parquet"))


def test_round_trip_of_the_least_with_unknown_cells(tmp_path):
    made = Predictions(
        name="least",
        ids=["1", "2", "3"],
        labels=["a", None, "a"],
        predictions=["b", "a", None],
        confidence=np.array([0.5, 1.0, np.nan]),
        classes=["b", "a"],
    )
    write_predictions(made, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    assert_same(made, read)


def test_blocks_are_the_whole_in_order(make_predictions, tmp_path, monkeypatch):
    made = make_predictions(rows=60)
    monkeypatch.setattr("eval.predicted.BLOCK_CELLS", 8 * 7)
    write_predictions(made, tmp_path / "p.parquet")
    blocks = list(open_predictions(tmp_path / "p.parquet").blocks())
    assert len(blocks) > 5
    assert tuple(i for block in blocks for i in block.ids.to_pylist()) == made.ids
    np.testing.assert_array_equal(np.concatenate([b.scores("scores") for b in blocks]), made.scores)


def test_folder_stands_for_its_prediction_file(make_predictions, tmp_path):
    write_predictions(make_predictions(), tmp_path / "predictions.parquet")
    assert read_predictions(tmp_path).name == "run 0"


def test_failed_write_leaves_the_old_file(make_predictions, tmp_path):
    path = write_predictions(make_predictions(), tmp_path / "p.parquet")
    before = path.read_bytes()
    with pytest.raises(ReportFault, match="JSON"):
        write_predictions(make_predictions(metadata={"x": object()}), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.parquet"]


def test_any_csv_is_read_and_na_is_a_class(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("id,label,prediction,confidence,more\n1,NA,null,0.5,x\n2,,NA,1,y\n03,7,,,\n")
    read = read_predictions(path, train_counts={"rare": 1, "NA": 5})
    assert read.name == "other"
    assert read.ids == ("1", "2", "03")
    assert read.labels == ("NA", None, "7")
    assert read.predictions == ("null", "NA", None)
    assert read.classes == ("7", "NA", "null", "rare")
    assert read.train_counts is not None
    assert read.train_counts.tolist() == [0, 5, 0, 1]


def test_whole_numbers_are_labels_even_above_2_to_the_24(tmp_path):
    big = 2**24
    pq.write_table(
        pa.table({"id": [1, 2], "label": [big, big + 1], "prediction": [big, big]}),
        tmp_path / "p.parquet",
    )
    assert read_predictions(tmp_path / "p.parquet").labels == (str(big), str(big + 1))


def test_float_labels_are_refused(tmp_path):
    table = pa.table({"id": ["1"], "label": [1.0], "prediction": ["1"]})
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(ReportFault, match="'label'"):
        read_predictions(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label,colour\n1,a,red\n", "no column 'prediction'; it has id, label, colour"),
        ("id,label,prediction\n1,a,a\n1,a,a\n", "row 2, column 'id': '1' is also the id of row 1"),
        ("id,label,prediction,confidence\n1,a,a,high\n", "'confidence' must hold numbers"),
        ("id,label,prediction,confidence\n1,a,a,1.5\n", r"row 1 \(id '1'\), column 'confidence'"),
        ("id,label,prediction,confidence\n1,a,a,nan\n", r"row 1 \(id '1'\), column 'confidence'"),
        ("id,label,prediction,confidence\n1,a,a,\n", r"row 1 \(id '1'\), column 'confidence'"),
    ],
)
def test_faults_of_a_csv_name_the_place(tmp_path, text, said):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ReportFault, match=said) as caught:
        reduce_predictions(open_predictions(path))
    assert str(caught.value).startswith(str(path)), "two files may hold runs of one name"


@pytest.mark.parametrize(
    ("column", "value"), [("scores", np.nan), ("base_scores", np.inf), ("retrieval_scores", np.nan)]
)
def test_a_score_that_is_none_is_refused_with_its_place(make_predictions, column, value):
    scores = np.zeros((60, 8), np.float32)
    scores[41, 5] = value
    with pytest.raises(ReportFault, match=rf"row 42 \(id 'item 41'\), column '{column}', class "):
        make_predictions(**{column: scores})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["class 0"] * 59 + ["other"]}, r"row 60 .*'label': 'other' is not among"),
        ({"predictions": ["other"] * 60}, r"row 1 .*'prediction': 'other'"),
        ({"predictions": ["class 0"] * 59}, "'prediction' has 59 cells for 60 ids"),
        ({"train_counts": np.array([1, 2])}, "8 counts"),
        ({"scores": np.zeros((60, 7), np.float32)}, "shape"),
        ({"neighbour_ids": None}, "without 'neighbour_ids'"),
        ({"neighbour_labels": [["class 0"]] * 60}, "1 cells for 3 neighbours"),
        ({"neighbour_scores": np.full((60, 3), np.nan)}, "not a similarity"),
    ],
)
def test_what_does_not_fit_is_refused(make_predictions, changes, said):
    with pytest.raises(ReportFault, match=said):
        make_predictions(**changes)


def test_class_that_is_there_twice_is_refused():
    with pytest.raises(ReportFault, match="twice"):
        Predictions(name="x", ids=[], labels=[], predictions=[], classes=["a", "a"])


def test_padding_of_missing_neighbours_is_fine(make_predictions):
    made = make_predictions(
        rows=1,
        neighbour_ids=[["a", None]],
        neighbour_labels=[["class 0", None]],
        neighbour_scores=np.array([[0.5, -np.inf]], np.float32),
    )
    assert len(made) == 1


def test_scores_of_a_foreign_table_need_the_order_of_classes(tmp_path):
    table = pa.table(
        {"id": ["1"], "label": ["b"], "prediction": ["a"], "scores": [[0.1, 0.9, 0.0]]}
    )
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(ReportFault, match="order"):
        read_predictions(tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", classes=["a", "c", "b"])
    assert read.scores is not None
    assert read.scores.shape == (1, 3)
    with pytest.raises(ReportFault, match="3 scores for 2 classes"):
        read_predictions(tmp_path / "p.parquet", classes=["a", "b"])


def test_newer_format_is_refused(make_predictions, tmp_path, monkeypatch):
    monkeypatch.setattr("eval.header.HEADER_VERSION", 2)
    write_predictions(make_predictions(), tmp_path / "p.parquet")
    monkeypatch.undo()
    with pytest.raises(ReportFault, match="version 2"):
        read_predictions(tmp_path / "p.parquet")


def test_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "p.parquet").write_text("hello")
    with pytest.raises(ReportFault, match="not a readable"):
        read_predictions(tmp_path / "p.parquet")
