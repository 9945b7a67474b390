from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval_index import (
    Batch,
    CorruptMemory,
    IndexPlan,
    Memory,
    make_rows,
    verify_folder,
)
from retrieval_index import verify as verify_module
from retrieval_index.contents import Contents
from retrieval_index.manifest import FileEntry, Manifest
from retrieval_index.segment import Segment
from retrieval_index.store import Store
from retrieval_index.verify import content_faults

MakeMemory = Callable[..., Memory]


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


@pytest.mark.parametrize("metric", ["cosine", "whitened"])
def test_a_sound_memory_verifies(make_memory: MakeMemory, metric: str) -> None:
    memory = make_memory(metric=metric)
    memory.verify()
    memory.add(np.array([[0.0, -1.0]]), make_rows(["g"])).verify()
    Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e", metric=metric).verify()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("changed", ["flipped", "shorter", "gone"])
def test_a_damaged_file_is_named_whichever_it_is(
    make_memory: MakeMemory, place: float, changed: str
) -> None:
    memory = make_memory(metric="whitened").add(np.array([[0.0, -1.0]]), make_rows(["g"]))
    folder = memory.folder
    assert folder is not None
    files = files_of(folder)
    assert len(files) == 10  # a manifest; 4 files and a manifest of version 1; 3 and one of 2
    for path in files:
        data = path.read_bytes()
        if changed == "flipped":
            damaged = bytearray(data)
            damaged[round(place * (len(data) - 1))] ^= 0x20
            path.write_bytes(damaged)
        elif changed == "shorter":
            path.write_bytes(data[: int(place * (len(data) - 1))])
        else:
            path.unlink()
        if path == folder / "manifest.json" and changed == "gone":
            path.write_bytes(data)
            continue  # without its manifest a folder is no memory; see test_memory
        with pytest.raises(CorruptMemory) as caught:
            verify_folder(folder)
        assert path.name in str(caught.value)
        assert path.parent.name in str(caught.value)
        path.write_bytes(data)
    verify_folder(folder)


def test_a_flipped_byte_is_found_in_every_file_of_an_indexed_edited_memory(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    vectors = rng.normal(size=(300, 8)).astype(np.float32)
    rows = make_rows([f"{i:03}" for i in range(300)], texts=["a"] * 300)
    batch = Batch(vectors, rows, rng.normal(size=(300, 4)))
    plan = IndexPlan(kind="ivfpq", latency_ms=1e6)
    memory = Memory.build(tmp_path / "m", [batch], encoder="e", plan=plan, force=True)
    memory.delete(["004", "017"]).add(vectors[:2], make_rows(["x", "y"]))
    files = files_of(tmp_path / "m")
    assert {path.name for path in files} == {
        "manifest.json",
        *("vectors.npy", "searchable.npy", "rows.arrow", "texts.npy", "metric.npz"),
        *("index.faiss", "dead-0.npy", "vectors-1.npy", "searchable-1.npy", "rows-1.arrow"),
        "texts-1.npy",
    }
    for path in files:
        data = path.read_bytes()
        for place in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
            damaged = bytearray(data)
            damaged[place] ^= 0x01
            path.write_bytes(damaged)
            with pytest.raises(CorruptMemory) as caught:
                verify_folder(tmp_path / "m")
            assert path.relative_to(tmp_path / "m").as_posix() in str(caught.value)
        path.write_bytes(data)
    verify_folder(tmp_path / "m")


@pytest.mark.parametrize("name", ["vectors.npy", "searchable.npy", "rows.arrow", "metric.npz"])
def test_opening_notices_a_file_of_another_length(make_memory: MakeMemory, name: str) -> None:
    folder = make_memory().folder
    assert folder is not None
    path = folder / "versions" / "000001" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptMemory, match=rf"{name}: has \d+ bytes(?s:.)*rac index verify"):
        Memory.open(folder)


def test_contents_that_contradict_each_other_are_found(rng: np.random.Generator) -> None:
    """Files can be whole and still be wrong: as a faulty writer would leave them."""
    sound = Memory.in_ram(
        rng.normal(size=(9, 3)), make_rows([str(i) for i in range(9)]), encoder="e"
    )
    assert content_faults(sound) == []

    whole = Segment(sound.vectors, sound.searchable, sound.rows)

    def broken(**parts: object) -> list[str]:
        contents = Contents((replace(whole, **parts),), sound.metric)
        return content_faults(Memory(contents, sound.manifest, None))

    assert broken(rows=sound.rows.slice(1)) == ["8 rows, but the manifest counts 9"]
    assert broken(searchable=sound.searchable[::-1].copy()) == [
        "row 0: the searchable vector is not the metric of the vector"
    ]
    [fault] = broken(rows=sound.rows.set_column(0, "id", [["same"] * 9]))
    assert "ids must be unique" in fault


def test_a_version_that_is_published_while_verifying_is_no_damage(
    make_memory: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards a false alarm: the version kept before vanished between its manifest and its files."""
    memory = make_memory().add(np.array([[0.0, -1.0]]), make_rows(["g"]))
    folder = memory.folder
    assert folder is not None
    real, seen = verify_module.kept_copies, []

    def slow_copies(store: Store, manifest: Manifest) -> tuple[list[str], list[FileEntry]]:
        if not seen:
            memory.delete(["a"]).delete(["b"])
        faults, entries = real(store, manifest)
        seen.append(faults)
        return faults, entries

    monkeypatch.setattr(verify_module, "kept_copies", slow_copies)
    assert verify_folder(folder).version == 4
    assert seen[0] != [], "the alarm was there"
