"""A writer that dies at any instant, readers beside writers, writers beside each other."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from retrieval_index import Memory, MemoryBusy, make_rows
from retrieval_index import contents as contents_module
from retrieval_index import files as files_module
from retrieval_index import store as store_module
from retrieval_index.store import Store

MakeMemory = Callable[..., Memory]


class Crash(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def add_one(memory: Memory, name: str = "g") -> Memory:
    return memory.add(np.array([[0.0, -1.0]]), make_rows([name]))


def crash_at(patch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Let the step-th call that changes or syncs the file system fail, and all after it.

    A killed process does no cleaning, so the calls of the ``finally`` blocks fail too.
    """
    seen: list[str] = []

    def watch(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: object, **options: object) -> object:
            seen.append(name)
            if len(seen) > step:
                raise Crash(name)
            return real(*args, **options)

        patch.setattr(owner, name, call)

    for name in ("mkdir", "replace", "chmod", "unlink", "write_text"):
        watch(pathlib.Path, name)
    for name in ("sync_file", "sync_folder"):
        watch(files_module, name)
    watch(store_module, "sync_folder")
    watch(store_module, "hash_written")
    watch(shutil, "rmtree")
    watch(contents_module, "write_array")
    return seen


def test_a_crash_at_every_step_of_adding_leaves_a_sound_memory(
    make_memory: MakeMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pristine = tmp_path / "pristine"
    add_one(make_memory(pristine, metric="whitened"), "f2")
    outcomes = []
    for step in range(500):
        folder = tmp_path / f"crash{step}"
        shutil.copytree(pristine, folder)
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            try:
                add_one(Memory.open(folder))
            except Crash:
                finished = False
            else:
                finished = True
        survivor = Memory.open(folder)
        assert survivor.ids in ([*"abcdef", "f2"], [*"abcdef", "f2", "g"])
        survivor.verify()
        outcomes.append(len(survivor))
        # The next writer is not hindered, and leaves nothing of the dead one behind.
        after = add_one(survivor, "later")
        after.verify()
        assert after.ids == [*survivor.ids, "later"]
        assert len(list((folder / "versions").iterdir())) <= 3  # both kept, and one with the metric
        assert not list(folder.rglob("*.part"))
        if finished:
            break
    assert finished, "the crash never came late enough"
    assert len(outcomes) > 30, "too few steps were seen for the test to mean anything"
    assert outcomes == sorted(outcomes), "once published, it stays published"
    assert {7, 8} == set(outcomes)


def test_a_crash_while_making_the_first_version_leaves_no_memory(
    make_memory: MakeMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (0, 3, 9):
        folder = tmp_path / f"new{step}"
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            with pytest.raises(Crash):
                make_memory(folder)
        make_memory(folder).verify()


def test_a_disk_that_fills_up_leaves_the_last_version_and_no_litter(
    make_memory: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = make_memory()
    assert memory.folder is not None

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(contents_module, "write_array", full)
        with pytest.raises(OSError, match="No space left") as caught:
            add_one(memory)
        assert caught.value.filename == str(memory.folder / "versions/000002/vectors.npy")
    assert Memory.open(memory.folder).manifest == memory.manifest
    assert [p.name for p in (memory.folder / "versions").iterdir()] == ["000001"]


#: ``RAC_TEST_KILLS=50`` kills as often as a release is tested with; it takes some 15 seconds.
KILLS = int(os.environ.get("RAC_TEST_KILLS", "12"))


def test_a_process_killed_at_random_instants_leaves_a_memory_that_verifies(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "m"
    Memory.create(folder, np.zeros((10, 16)), make_rows(list("0123456789")), encoder="e")
    # In an interpreter of its own: forking is safe only where no library has started threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.retrieval_index.killed_writers", str(folder), str(KILLS)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    counts, versions = zip(*found, strict=True)
    # A round adds 40 rows and then deletes 20 of them.
    assert all(count % 20 == 10 for count in counts), "never half of an edit"
    assert len(set(versions)) == KILLS, "the writers got on between the kills"
    assert list(versions) == sorted(versions)


def test_only_the_current_version_and_the_one_before_are_kept(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert memory.folder is not None
    for name in "ghij":
        memory = add_one(memory, name)
    # Version 1 is out of date, but later ones share its metric file.
    assert sorted(p.name for p in (memory.folder / "versions").iterdir()) == [
        "000001",
        "000004",
        "000005",
    ]
    before = Store(memory.folder).numbered(4)
    assert before.count == 9
    memory.verify()


def test_a_reader_keeps_what_it_opened_while_writers_go_on(make_memory: MakeMemory) -> None:
    reader = make_memory(metric="whitened")
    expected = reader.search(reader.vectors, 3)
    writer = reader
    for number in range(5):
        writer = make_memory(metric="whitened") if number == 2 else add_one(writer, f"w{number}")
    again = reader.search(reader.vectors, 3)
    np.testing.assert_array_equal(again.rows, expected.rows)
    np.testing.assert_array_equal(again.scores, expected.scores)
    assert reader.ids == list("abcdef"), "read only now, after its files are gone"


def test_readers_open_sound_versions_while_a_writer_publishes(make_memory: MakeMemory) -> None:
    memory = make_memory()
    folder = memory.folder
    assert folder is not None
    stop, faults, opened = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            try:
                seen = Memory.open(folder)
                assert len(seen.ids) == len(seen.vectors) == len(seen)
                assert seen.search(seen.vectors[-1:], 1).rows.shape == (1, 1)
                opened.append(len(seen))
            except BaseException as fault:  # the thread's faults are the result
                faults.append(fault)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for number in range(15):
        memory = add_one(memory, f"w{number}")
    stop.set()
    for thread in readers:
        thread.join()
    assert faults == []
    assert len(set(opened)) > 1, "the readers saw the memory grow"


def test_opening_again_when_the_version_is_removed_meanwhile(
    make_memory: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards a race: a reader has read the manifest, and two versions are published before it
    opens the files."""
    memory = make_memory()
    folder = memory.folder
    assert folder is not None
    real, calls = Store.current, []

    def slow_current(self: Store) -> object:
        manifest = real(self)
        calls.append(manifest.version)
        if len(calls) == 1:
            make_memory()
            make_memory()
        return manifest

    monkeypatch.setattr(Store, "current", slow_current)
    assert Memory.open(folder).manifest.version == 3
    assert not (folder / "versions" / "000001").exists()


def test_two_writers_at_once_lose_nothing(make_memory: MakeMemory) -> None:
    memory = make_memory()
    assert memory.folder is not None
    threads = [
        threading.Thread(target=add_one, args=(Memory.open(memory.folder), f"w{n}"))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Memory.open(memory.folder).ids) == sorted(
        [*"abcdef", *(f"w{n}" for n in range(6))]
    )


def test_a_writer_that_waits_in_vain_says_so(make_memory: MakeMemory) -> None:
    folder = make_memory().folder
    assert folder is not None
    with (
        FileLock(folder / ".lock"),
        pytest.raises(MemoryBusy, match=r"another writer has held the lock for 0\.05 s"),
        Store(folder, wait_s=0.05).writing(),
    ):
        pass
