"""Files that are written whole: full disks, links and folders in their place."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_index import Memory, export_memory, files, make_rows
from retrieval_index.approximate import save_index
from retrieval_index.array_files import write_array
from retrieval_index.files import open_regular, read_bounded, replace_file
from tests.hostile.table import Promise

NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def fault(number: int, *names: str) -> OSError:
    return OSError(number, os.strerror(number), *names)


def _write_and_fail(path: Path, failure: OSError) -> None:
    with replace_file(path) as draft:
        draft.write_text("new")
        raise failure


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("before", [None, "old"])
def test_a_full_disk_names_the_file_and_leaves_what_was_there(
    tmp_path: Path, number: int, before: str | None
) -> None:
    path = tmp_path / "a.txt"
    if before is not None:
        path.write_text(before)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        _write_and_fail(path, fault(number))
    assert caught.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ([] if before is None else ["a.txt"])
    assert before is None or path.read_text() == before


STEPS = ("sync_file", "sync_folder")


@pytest.mark.parametrize("number", [*NUMBERS, errno.EIO])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_of_the_last_steps_names_the_file(
    tmp_path: Path, step: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise fault(number)

    monkeypatch.setattr(files, step, fail)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        _text(tmp_path / "a.txt")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "a.txt"))
    assert not list(tmp_path.glob(".*"))


def test_a_fault_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/elsewhere") as caught:
        _write_and_fail(tmp_path / "a.txt", fault(errno.ENOSPC, "/elsewhere"))
    assert caught.value.filename == "/elsewhere"
    with pytest.raises(OSError, match="error") as caught:  # may be of what the block reads
        _write_and_fail(tmp_path / "a.txt", fault(errno.EIO))
    assert caught.value.filename is None


def test_a_fault_of_the_draft_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replace_file(tmp_path / "a.txt") as draft:
        draft.unlink()
    assert caught.value.filename == str(tmp_path / "a.txt")


def _array(path: Path) -> None:
    with replace_file(path) as draft, open(draft, "wb") as handle:
        write_array(handle, np.zeros((1000, 8), dtype=np.float32))


def _index(path: Path) -> None:
    import faiss

    index = faiss.IndexFlatIP(8)
    index.add(np.zeros((1000, 8), dtype=np.float32))
    with replace_file(path) as draft:
        save_index(index, draft)


def _text(path: Path) -> None:
    with replace_file(path) as draft:
        draft.write_text("a" * 32_000)


def _memory(path: Path) -> None:
    Memory.create(path, np.ones((1000, 8)), make_rows(list(map(str, range(1000)))), encoder="e")


def _export(path: Path) -> None:
    rows = make_rows(list(map(str, range(1000))))
    export_memory(Memory.in_ram(np.ones((1000, 8)), rows, encoder="e"), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "an array": _array,
    "an index": _index,
    "a text": _text,
    "a memory": _memory,
    "an exported memory": _export,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_may_grow_no_further_is_named_and_removed(tmp_path: Path, name: str) -> None:
    """The system refuses to write, as on a full disk, but to this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            WRITERS[name](tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).startswith(str(tmp_path / "out"))
    assert ".part" not in str(caught.value.filename)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".lock"}


PLACES: dict[str, Callable[[Path, Path], object]] = {
    "a link to a file": lambda path, theirs: path.symlink_to(theirs / "file"),
    "a link to a folder": lambda path, theirs: path.symlink_to(theirs),
    "a link to nothing": lambda path, theirs: path.symlink_to(theirs / "nothing"),
    "a link to itself": lambda path, theirs: path.symlink_to(path),
    "a second name of a file": lambda path, theirs: path.hardlink_to(theirs / "file"),
    "a pipe": lambda path, theirs: os.mkfifo(path),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("private", [False, True])
def test_what_lies_in_its_place_is_replaced_not_followed(
    tmp_path: Path, place: str, private: bool
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("mine")
    path = tmp_path / "here" / "a.txt"
    path.parent.mkdir()
    PLACES[place](path, theirs)
    with replace_file(path, private=private) as draft:
        draft.write_text("new")
    assert stat.S_ISREG(path.lstat().st_mode)
    assert path.read_text() == "new"
    assert {entry.name: entry.read_text() for entry in theirs.iterdir()} == {"file": "mine"}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_in_its_place_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError) as caught, replace_file(tmp_path / "a.txt"):
        raise AssertionError("the work was begun")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o027])
@pytest.mark.parametrize("replaced", [False, True])
def test_who_may_read_it(tmp_path: Path, mask: int, replaced: bool) -> None:
    def write(draft: Path) -> None:
        if replaced:  # as libraries do that write whole files themselves
            other = draft.with_name("other")
            other.touch(mode=0o640)
            other.replace(draft)
        draft.write_text("new")
        modes.append(stat.S_IMODE(draft.stat().st_mode))

    modes: list[int] = []
    before = os.umask(mask)
    try:
        with replace_file(tmp_path / "open") as draft:
            write(draft)
        with replace_file(tmp_path / "private", private=True) as draft:
            write(draft)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
    assert replaced or modes[1] == 0o600, "private from its first byte"


def test_a_draft_that_is_there_already_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guessed")
    (tmp_path / "theirs").write_text("mine")
    (tmp_path / ".a.txt.guessed.part").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError) as caught, replace_file(tmp_path / "a.txt"):
        raise AssertionError("the draft of another was taken")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert (tmp_path / "theirs").read_text() == "mine"


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    UNREADABLE[name](tmp_path / "a")
    for read in (open_regular, lambda path: read_bounded(path, 10)):
        with pytest.raises(OSError, match="/a'") as caught:
            read(tmp_path / "a")
        assert caught.value.filename in (str(tmp_path / "a"), tmp_path / "a")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678901")
    with pytest.raises(OSError, match="is longer than 10 bytes"):
        read_bounded(tmp_path / "a", 10)
    assert read_bounded(tmp_path / "a", 11) == b"12345678901"


PROMISES = [
    Promise(
        "files that are written",
        "a full or read-only disk names the file; what was there stays, and nothing else is left",
        "each kind of fault at each step, and files that may grow no further",
        len(NUMBERS) * 2 + len(STEPS) * (len(NUMBERS) + 1) + len(WRITERS),
    ),
    Promise(
        "what lies where a file is written or read",
        "a link is replaced and not followed; a pipe or a device is not waited for",
        "links, second names, pipes, devices and folders",
        2 * len(PLACES) + len(UNREADABLE),
    ),
]
