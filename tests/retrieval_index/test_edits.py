"""Edits by id, filters, texts, refitting, going back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrieval_index import (
    BadVectors,
    Batch,
    CorruptMemory,
    DuplicateId,
    Memory,
    MemoryBusy,
    MemoryFault,
    UnknownId,
    WhitenedMetric,
    make_rows,
)
from retrieval_index import edits as edits_module

MakeMemory = Callable[..., Memory]


def test_upsert_replaces_and_adds(make_memory: MakeMemory) -> None:
    memory = make_memory()
    after = memory.upsert(
        np.array([[0.0, -1.0], [-1.0, 0.0]]), make_rows(["b", "new"], labels=["z", "z"])
    )
    assert after.ids == ["a", "c", "d", "e", "f", "b", "new"]
    assert after.labels[-2:] == ["z", "z"]
    assert after.texts[-2:] == [None, None], "a replaced row keeps nothing of the old one"
    assert after.search(np.array([[0.0, -1.0]]), 1).rows.tolist() == [[5]]
    assert memory.ids == list("abcdef")


def test_deleting_what_is_not_there_deletes_nothing(make_memory: MakeMemory) -> None:
    memory = make_memory()
    with pytest.raises(UnknownId, match=r"2 ids \('x', 'y'\) are not in the memory"):
        memory.delete(["a", "x", "y"])
    with pytest.raises(DuplicateId, match="given twice"):
        memory.delete(["a", "a"])
    assert memory.folder is not None
    assert Memory.open(memory.folder).manifest.version == 1


def test_a_deleted_id_may_come_back(make_memory: MakeMemory) -> None:
    memory = make_memory().delete(["a"]).add(np.array([[0.0, -1.0]]), make_rows(["a"]))
    assert memory.ids == ["b", "c", "d", "e", "f", "a"]


def test_deleting_everything_and_starting_again(make_memory: MakeMemory) -> None:
    empty = make_memory(metric="whitened").delete(list("abcdef"))
    assert len(empty) == 0
    assert empty.search(np.eye(2), 2).rows.tolist() == [[-1, -1]] * 2
    empty.verify()
    again = empty.add(np.eye(2), make_rows(["x", "y"]))
    assert again.ids == ["x", "y"]
    again.verify()


def test_large_segments_keep_tombstones_and_small_edits_are_written_together(
    make_memory: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits_module, "SMALL_ROWS", 2)
    memory = make_memory()
    first = memory.manifest
    memory = memory.delete(["b", "e"])
    [segment] = memory.manifest.segments
    assert segment.dead == 2
    assert segment.files["vectors"] == first.segments[0].files["vectors"], "nothing is rewritten"
    sizes = []
    for number in range(5):
        memory = memory.add(np.array([[0.0, -1.0]]), make_rows([f"n{number}"]))
        sizes.append([s.count for s in memory.manifest.segments])
    # One row and one row are written together; two and one too, and then all of it, because six
    # rows are not much more than three. The two deleted ones are dropped by that.
    assert sizes == [[6, 1], [6, 2], [7], [7, 1], [7, 2]]
    assert len(memory) == 9
    assert memory.rows.column("id").to_pylist() == memory.ids
    compacted = memory.compact()
    assert [s.count for s in compacted.manifest.segments] == [9]
    assert compacted.ids == memory.ids
    np.testing.assert_array_equal(compacted.vectors, memory.vectors)
    np.testing.assert_array_equal(compacted.searchable, memory.searchable)


def test_files_that_no_version_needs_are_removed(make_memory: MakeMemory) -> None:
    memory = make_memory()
    for _ in range(3):
        memory = memory.compact()
    folder = memory.folder
    assert folder is not None
    needed = {entry.path for entry in memory.manifest.all_files()}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*.npy")}
    assert {path for path in needed if path.endswith(".npy")} < there
    assert len(there) == 4, "two versions of two arrays"


def test_filters_by_column(tmp_path: Path) -> None:
    rows = make_rows(list("abcd"), labels=["x", "x", None, "y"])
    rows = rows.append_column("year", pa.array([1, 2, 1, None]))
    memory = Memory.create(tmp_path / "m", np.eye(4), rows, encoder="e")
    ones = np.ones((1, 4))

    def found(**where: list[str]) -> list[str]:
        answer = memory.search(ones, 4, where=where)
        return [memory.ids[row] for row in answer.rows[0] if row >= 0]

    assert found(label=["x"]) == ["a", "b"]
    assert found(label=["x", "y"]) == ["a", "b", "d"]
    assert found(year=["1"]) == ["a", "c"], "numbers are compared by their text"
    assert found(year=["1"], label=["x"]) == ["a"]
    assert found(label=["nothing"]) == []
    assert found(label=[]) == []
    with pytest.raises(MemoryFault, match="no column 'size'; its columns are"):
        memory.search(ones, 4, where={"size": ["1"]})


def test_search_among_texts(tmp_path: Path) -> None:
    rows = make_rows(list("abc"), texts=["one", None, "three"])
    texts = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    memory = Memory.create(tmp_path / "m", np.eye(3), rows, encoder="e", texts=texts)
    assert memory.text_dim == 2
    found = memory.search_texts(np.array([[0.1, 5.0]]), 3)
    assert found.rows.tolist() == [[2, 0, -1]], "a row without text is not found"
    assert memory.search_texts(np.array([[0.1, 5.0]]), 1, where={"id": ["a"]}).rows[0, 0] == 0
    grown = memory.add(np.ones((2, 3)), make_rows(["d", "e"]), texts=np.array([[0, 1.0], [0, 0]]))
    assert grown.search_texts(np.array([[0.0, 1.0]]), 9).rows[0, :3].tolist() == [2, 3, 0]
    assert grown.delete(["c"]).search_texts(np.array([[0.0, 1.0]]), 1).rows.tolist() == [[2]]
    grown.verify()
    without = Memory.in_ram(np.eye(3), make_rows(list("abc")), encoder="e")
    with pytest.raises(MemoryFault, match="keeps no text vectors"):
        without.search_texts(np.eye(2), 1)
    with pytest.raises(BadVectors, match="the memory keeps none"):
        without.add(np.ones((1, 3)), make_rows(["d"]), texts=np.ones((1, 2)))


def test_refitting_the_metric_uses_the_rows_as_they_are_now(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(60, 4))
    labels = [str(i % 6) for i in range(60)]
    rows = make_rows([f"{i:02}" for i in range(60)], labels=labels)
    memory = Memory.create(tmp_path / "m", vectors[:30], rows[:30], encoder="e", metric="whitened")
    grown = memory.add(vectors[30:], rows[30:])
    fresh = WhitenedMetric.fit(vectors, labels)
    assert isinstance(grown.metric, WhitenedMetric)
    assert not np.allclose(grown.metric.transform, fresh.transform)
    refitted = grown.compact(metric="whitened")
    assert isinstance(refitted.metric, WhitenedMetric)
    np.testing.assert_allclose(refitted.metric.transform, fresh.transform)
    np.testing.assert_array_equal(refitted.vectors, grown.vectors)
    np.testing.assert_array_equal(refitted.searchable, refitted.metric.apply(vectors))


def test_a_metric_is_fitted_to_some_of_very_many_rows(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval_index import building

    vectors = rng.normal(size=(400, 4)) * [1, 2, 3, 4]
    labels = [str(i % 8) for i in range(400)]
    rows = make_rows([f"{i:03}" for i in range(400)], labels=labels)
    whole = WhitenedMetric.fit(vectors, labels)
    monkeypatch.setattr(building, "_FIT_ROWS", 200)
    memory = Memory.create(tmp_path / "m", vectors, rows, encoder="e", metric="whitened")
    assert isinstance(memory.metric, WhitenedMetric)
    scale = np.linalg.norm(memory.metric.transform, axis=0)
    np.testing.assert_allclose(scale, np.linalg.norm(whole.transform, axis=0), rtol=0.15)


def test_going_back_and_forth(make_memory: MakeMemory) -> None:
    memory = make_memory()
    with pytest.raises(MemoryFault, match="no earlier version"):
        memory.rollback()
    after = memory.delete(["a"])
    back = after.rollback()
    assert back.ids == list("abcdef")
    assert back.manifest.version == 3, "going back is a version of its own"
    back.verify()
    assert back.rollback().ids == list("bcdef")
    with pytest.raises(MemoryFault, match="only in RAM"):
        Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e").rollback()


def test_a_damaged_version_is_not_gone_back_to(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert memory.folder is not None
    other = make_memory(metric="whitened")
    path = memory.folder / "versions/000001/vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptMemory, match=r"000001/vectors\.npy: its bytes do not match"):
        other.rollback()
    assert Memory.open(memory.folder).manifest == other.manifest


def test_a_preview_publishes_nothing(make_memory: MakeMemory) -> None:
    memory = make_memory()
    batch = Batch(np.array([[0.0, -1.0]]), make_rows(["a"]))
    preview = memory.preview(add=batch, delete=["b"])
    assert preview.ids == ["c", "d", "e", "f", "a"]
    assert preview.folder is None
    assert memory.folder is not None
    assert Memory.open(memory.folder).ids == list("abcdef")
    with pytest.raises(UnknownId):
        memory.preview(delete=["nobody"])


def test_a_memory_that_was_edited_meanwhile_is_not_replaced(make_memory: MakeMemory) -> None:
    memory = make_memory()
    other = Memory.in_ram(np.eye(3), make_rows(list("xyz")), encoder="other")
    memory.delete(["a"])
    with pytest.raises(MemoryBusy, match="was edited meanwhile"):
        memory.replaced_by(other)
    assert memory.folder is not None
    current = Memory.open(memory.folder)
    replaced = current.replaced_by(other)
    assert replaced.ids == list("xyz")
    assert replaced.manifest.encoder == "other"


def test_a_stream_is_checked_as_a_whole(tmp_path: Path) -> None:
    def batches(*ids: str) -> list[Batch]:
        return [Batch(np.ones((1, 2)), make_rows([one])) for one in ids]

    with pytest.raises(DuplicateId, match=r"but 1 id \('a'\) is there more than once"):
        Memory.build(tmp_path / "m", batches("a", "b", "a"), encoder="e")
    wider = [*batches("a"), Batch(np.ones((1, 3)), make_rows(["b"]))]
    with pytest.raises(BadVectors, match="dimension 3"):
        Memory.build(tmp_path / "m", wider, encoder="e")
    with pytest.raises(MemoryFault, match="at least one batch"):
        Memory.build(tmp_path / "m", [], encoder="e")
    assert not (tmp_path / "m" / "manifest.json").exists()
    assert not list((tmp_path / "m").rglob("*.npy")), "nothing is left of what failed"
    built = Memory.build(tmp_path / "m", batches("a", "b", "c"), encoder="e")
    assert built.ids == ["a", "b", "c"]
    assert (built.folder or tmp_path).joinpath("manifest.json").exists()
