"""Making, opening and extending a memory in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_index import (
    BadRows,
    BadVectors,
    CorruptMemory,
    CosineMetric,
    DuplicateId,
    EncoderMismatch,
    FormatMismatch,
    Memory,
    MemoryFault,
    Metric,
    NoMemory,
    WhitenedMetric,
    make_rows,
)
from retrieval_index.manifest import Manifest, manifest_text, parse_manifest

MakeMemory = Callable[..., Memory]


def test_what_goes_in_comes_out(make_memory: MakeMemory, tmp_path: Path) -> None:
    make_memory()
    memory = Memory.open(tmp_path / "memory", encoder="e" * 8, space="embedding")
    assert len(memory) == 6
    assert memory.dim == 2
    assert memory.ids == list("abcdef")
    assert memory.labels == ["x"] * 3 + ["y"] * 3
    assert memory.texts[1] == "text of b"
    assert memory.sources == [None] * 6
    assert memory.vectors.dtype == np.float32
    assert memory.manifest.encoder_name == "toy"
    assert memory.manifest.version == 1
    assert memory.manifest.index.kind == "flat"
    # At 0, 10, 20, … degrees the nearest to 12 degrees are 10, 20 and 0.
    query = np.array([[np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))]])
    assert memory.search(query, 3).rows.tolist() == [[1, 2, 0]]


def test_vectors_are_memory_mapped(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert isinstance(memory.vectors, np.memmap)
    assert isinstance(memory.searchable, np.memmap)
    assert not memory.vectors.flags.writeable


@pytest.mark.parametrize("metric", ["cosine", "whitened"])
def test_in_a_folder_and_in_ram_they_answer_alike(
    metric: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(40, 9))
    rows = make_rows([str(i) for i in range(40)], labels=[str(i % 5) for i in range(40)])
    stored = Memory.create(tmp_path / "m", vectors, rows, encoder="e", metric=metric)
    volatile = Memory.in_ram(vectors, rows, encoder="e", metric=metric)
    queries = rng.normal(size=(7, 9))
    np.testing.assert_array_equal(stored.search(queries, 5).rows, volatile.search(queries, 5).rows)
    np.testing.assert_array_equal(
        stored.search(queries, 5).scores, volatile.search(queries, 5).scores
    )
    assert stored.manifest.space == "trunk", "the default"


def test_adding_gives_a_new_memory_and_leaves_the_old_one(make_memory: MakeMemory) -> None:
    first = make_memory(metric="whitened")
    second = first.add(np.array([[-1.0, 0.0]]), make_rows(["g"], labels=["z"]))
    assert second.ids == list("abcdefg")
    assert second.labels[-1] == "z"
    assert second.texts[-1] is None
    assert (second.manifest.version, second.manifest.previous) == (2, 1)
    assert first.ids == list("abcdef")
    assert len(first.vectors) == 6
    assert first.folder is not None
    reopened = Memory.open(first.folder)
    assert reopened.ids == second.ids
    np.testing.assert_array_equal(reopened.vectors, second.vectors)
    # The metric stays as it was fitted, and its file is shared rather than copied.
    assert isinstance(second.metric, WhitenedMetric)
    assert isinstance(first.metric, WhitenedMetric)
    np.testing.assert_array_equal(second.metric.transform, first.metric.transform)
    assert second.manifest.files["metric"] == first.manifest.files["metric"]


def test_adding_bit_by_bit_equals_making_it_at_once(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(20, 4))
    ids = [f"{i:02}" for i in range(20)]
    whole = Memory.in_ram(vectors, make_rows(ids), encoder="e")
    grown = Memory.create(tmp_path / "m", vectors[:5], make_rows(ids[:5]), encoder="e")
    volatile = Memory.in_ram(vectors[:5], make_rows(ids[:5]), encoder="e")
    for start in range(5, 20, 5):
        part = slice(start, start + 5)
        grown = grown.add(vectors[part], make_rows(ids[part]))
        volatile = volatile.add(vectors[part], make_rows(ids[part]))
    for other in (grown, volatile):
        np.testing.assert_array_equal(other.searchable, whole.searchable)
        assert other.ids == whole.ids
    assert grown.manifest.version == 4


def test_an_empty_memory_opens_searches_and_fits_its_metric_on_the_first_rows(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    empty = Memory.create(
        tmp_path / "m", np.zeros((0, 3)), make_rows([]), encoder="e", metric="whitened"
    )
    assert len(Memory.open(tmp_path / "m")) == 0
    assert empty.search(np.eye(3), 2).rows.tolist() == [[-1, -1]] * 3
    assert empty.leave_one_out(2).rows.shape == (0, 2)
    empty.verify()
    vectors, labels = rng.normal(size=(12, 3)), ["a", "b"] * 6
    filled = empty.add(vectors, make_rows([str(i) for i in range(12)], labels=labels))
    assert isinstance(filled.metric, WhitenedMetric)
    expected = WhitenedMetric.fit(vectors, labels)
    np.testing.assert_array_equal(filled.metric.transform, expected.transform)
    filled.verify()


def test_adding_goes_on_top_of_what_another_writer_published(make_memory: MakeMemory) -> None:
    """Guards against a lost update: two holders of version 1 add one after the other."""
    mine = make_memory()
    assert mine.folder is not None
    theirs = Memory.open(mine.folder)
    theirs.add(np.array([[0.0, -1.0]]), make_rows(["theirs"]))
    both = mine.add(np.array([[0.0, -1.0]]), make_rows(["mine"]))
    assert both.ids == [*"abcdef", "theirs", "mine"]
    with pytest.raises(DuplicateId, match="'theirs'"):
        mine.add(np.array([[0.0, -1.0]]), make_rows(["theirs"]))


def test_adding_what_does_not_fit_changes_nothing(make_memory: MakeMemory) -> None:
    memory = make_memory()
    with pytest.raises(DuplicateId, match=r"2 ids \('b', 'e'\) are already in the memory"):
        memory.add(np.eye(2), make_rows(["b", "e"]))
    with pytest.raises(BadVectors, match="have dimension 3, the memory has 2"):
        memory.add(np.eye(3), make_rows(["1", "2", "3"]))
    with pytest.raises(BadRows, match="2 vectors but 1 rows"):
        memory.add(np.eye(2), make_rows(["1"]))
    assert memory.folder is not None
    assert Memory.open(memory.folder).manifest == memory.manifest
    assert len(list((memory.folder / "versions").iterdir())) == 1


def test_another_encoder_or_space_is_refused_with_what_to_do(make_memory: MakeMemory) -> None:
    folder = make_memory().folder
    assert folder is not None
    with pytest.raises(EncoderMismatch) as caught:
        Memory.open(folder, encoder="f" * 8)
    message = str(caught.value)
    assert "the encoder differs" in message
    assert "eeeeeeee (toy)" in message
    assert "ffffffff" in message
    assert "--encoder toy" in message
    assert f"rac index migrate {folder} --encoder NAME" in message
    with pytest.raises(EncoderMismatch, match=r"holds 'embedding' vectors.*are 'trunk'.*--space"):
        Memory.open(folder, space="trunk")


def test_adding_to_a_memory_rebuilt_with_another_encoder_is_refused(
    make_memory: MakeMemory,
) -> None:
    old = make_memory()
    assert old.folder is not None
    Memory.create(old.folder, np.eye(2), make_rows(["a", "b"]), encoder="new", space="embedding")
    with pytest.raises(EncoderMismatch, match="made with new"):
        old.add(np.eye(2), make_rows(["y", "z"]))


def test_no_memory_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NoMemory, match=r"no memory here.*rac index build TABLE -o .*nowhere"):
        Memory.open(tmp_path / "nowhere")


def test_creating_over_a_memory_publishes_a_version(make_memory: MakeMemory) -> None:
    first = make_memory()
    second = make_memory()
    assert second.manifest.version == 2
    assert second.manifest.previous == 1
    assert first.search(np.eye(2), 1).rows.tolist() == [[0], [3]], "the old one still reads"


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, make_memory: MakeMemory) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(MemoryFault, match=r"photos: holds other things.*holiday\.jpg"):
        make_memory(tmp_path / "photos")
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryFault, match="is a file"):
        make_memory(tmp_path / "file")


def test_a_metric_that_could_not_be_read_back_is_not_stored(tmp_path: Path) -> None:
    class Mine(CosineMetric):
        name = "mine"

    metric: Metric = Mine()
    rows = make_rows(["a", "b"])
    with pytest.raises(MemoryFault, match="a Mine cannot be stored"):
        Memory.create(tmp_path / "m", np.eye(2), rows, encoder="e", metric=metric)
    assert Memory.in_ram(np.eye(2), rows, encoder="e", metric=metric).metric is metric
    with pytest.raises(NoMemory):
        Memory.open(tmp_path / "m")


def test_another_format_version_is_refused(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert memory.folder is not None
    future = memory.manifest.model_copy(update={"format_version": 9})
    (memory.folder / "manifest.json").write_text(manifest_text(future), encoding="utf-8")
    with pytest.raises(
        FormatMismatch, match=r"format version 9, this release reads 2.*rac index build"
    ):
        Memory.open(memory.folder)
    # Building anew is the way out, and works.
    assert make_memory().manifest.version == 2
    Memory.open(memory.folder).verify()


def test_a_manifest_with_unknown_keys_is_refused() -> None:
    manifest = Manifest(
        created="now", encoder="e", space="s", dim=2, metric="cosine", searchable_dim=2, count=0
    )
    assert parse_manifest(manifest_text(manifest).encode(), where="M") == manifest
    with pytest.raises(ValueError, match="surprise"):
        Manifest.model_validate({**manifest.model_dump(), "surprise": 1})


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "versions/../../x", "a\\b"])
def test_a_manifest_never_leads_out_of_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match="leads out of"):
        Manifest.model_validate(
            {
                "created": "now", "encoder": "e", "space": "s", "dim": 2, "metric": "cosine",
                "searchable_dim": 2, "count": 0,
                "files": {"vectors": {"path": path, "bytes": 0, "sha256": "0" * 64}},
            }
        )  # fmt: skip


def test_every_changed_byte_of_a_manifest_is_noticed(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert memory.folder is not None
    data = (memory.folder / "manifest.json").read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(CorruptMemory, match="manifest"):
            parse_manifest(bytes(changed), where="M")


def test_repr_says_what_it_is(make_memory: MakeMemory) -> None:
    assert repr(make_memory()).startswith(
        "<Memory of 6 rows, embedding of dimension 2, cosine, in "
    )
