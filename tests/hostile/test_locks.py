"""Locks that others hold, and what lies where a lock's file belongs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from rac.cards.prepare import prepare
from rac.errors import InputError, JobFailed
from rac.unfinished import held
from retrieval_index import Memory, MemoryBusy, MemoryFault, lock, make_rows
from retrieval_index.lock import Holder, LockHeld, LockRefused, hold
from retrieval_index.store import Store
from tests.hostile.table import Promise

ME = os.getpid()
HOST = socket.gethostname()
#: The pid of nobody: the kernel gives none so high.
NOBODY = (1 << 30) + 7


def holder(**changes: object) -> str:
    known = {"pid": ME, "host": HOST, "user": "anna", "command": "rac index add", "since": NOON}
    return json.dumps({**known, **changes})


NOON = "2026-12-01T12:30:00+00:00"


# -- who holds it


def test_a_holder_says_who_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with hold(path, wait_s=0.0, what="it"):
        told = Holder.model_validate_json((tmp_path / ".lock.json").read_bytes())
        assert (told.pid, told.host) == (ME, HOST)
        assert abs((datetime.now().astimezone() - told.since).total_seconds()) < 3600
        with pytest.raises(
            LockHeld, match=rf"^held by pid {ME} \(.+, user .+\) on {HOST} since 20"
        ):
            hold(path, wait_s=0.0, what="it").__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]


def test_arguments_which_may_be_secrets_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql://me:secret@db/shop"
    monkeypatch.setattr("sys.argv", ["/usr/bin/rac", "fill", address, "--password", "secret"])
    with hold(tmp_path / ".lock", wait_s=0.0, what="it"):
        written = (tmp_path / ".lock.json").read_text()
    assert "rac fill" in written
    assert "secret" not in written


def test_a_wait_is_told_after_five_seconds_and_then_the_lock_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.PATIENCE_S == 5.0
    monkeypatch.setattr(lock, "PATIENCE_S", 0.01)
    path = tmp_path / ".lock"
    other = FileLock(path)
    other.acquire()
    (tmp_path / ".lock.json").write_text(holder())
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        other.release()

    with hold(path, wait_s=60.0, what="DIR", tell=tell):
        pass
    [line] = told
    assert line.startswith(
        f"waiting for DIR: held by pid {ME} (rac index add, user anna) on {HOST}"
    )


def test_a_short_wait_is_not_told(tmp_path: Path) -> None:
    told: list[str] = []
    with FileLock(tmp_path / ".lock"), pytest.raises(LockHeld):
        hold(tmp_path / ".lock", wait_s=0.02, what="DIR", tell=told.append).__enter__()
    assert told == []


def test_a_writer_that_waits_for_another_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory.create(tmp_path / "m", np.eye(3), make_rows(list("abc")), encoder="e")
    monkeypatch.setattr(lock, "PATIENCE_S", 0.05)
    done = threading.Event()

    def write() -> None:
        memory.delete(["a"])
        done.set()

    with Store(tmp_path / "m").writing():
        writer = threading.Thread(target=write)
        writer.start()
        while not caplog.records and writer.is_alive():
            done.wait(0.01)
        assert not done.is_set()
    writer.join(60)
    assert done.is_set()
    [record] = caplog.records
    assert record.getMessage().startswith(f"waiting for {tmp_path / 'm'}: held by pid {ME} (")


INFORMATION: dict[str, tuple[str | bytes | None, str]] = {
    "none": (None, "another process"),
    "of one that was killed": (holder(pid=NOBODY), "another process"),
    "of another machine": (holder(pid=NOBODY, host="far"), f"pid {NOBODY} (rac index add"),
    "sound": (holder(), f"pid {ME} (rac index add, user anna) on {HOST} since 2026-12-01 12:30:00"),
    "empty": ("", "another process"),
    "cut": (holder()[:20], "another process"),
    "of other bytes": (b"\xff\xfe\x00", "another process"),
    "deep": (b"[" * 4000, "another process"),
    "long": (b" " * 5000 + holder().encode(), "another process"),
    "with a key too many": (holder(more=1), "another process"),
    "a name that a terminal obeys": (holder(host="far", user="\x1b[2J"), "another process"),
    "a name without end": (holder(host="far", user="a" * 3000), "another process"),
    "pid 0": (holder(pid=0), "another process"),
    "a pid below zero": (holder(pid=-1), "another process"),
    "a pid beyond all": (holder(pid=10**30), "another process"),
    "no time": (holder(since="noon"), "another process"),
}


@pytest.mark.parametrize("name", INFORMATION)
def test_what_is_told_of_a_holder_is_true_or_nothing(tmp_path: Path, name: str) -> None:
    written, told = INFORMATION[name]
    if written is not None:
        data = written if isinstance(written, bytes) else written.encode()
        (tmp_path / ".lock.json").write_bytes(data)
    with FileLock(tmp_path / ".lock"), pytest.raises(LockHeld) as caught:
        hold(tmp_path / ".lock", wait_s=0.0, what="it").__enter__()
    assert str(caught.value).startswith(f"held by {told}")
    assert str(caught.value).isprintable()


def test_a_lock_that_a_killed_holder_left_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".lock.json").write_text(holder(pid=NOBODY))
    with hold(tmp_path / ".lock", wait_s=0.0, what="it"):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == ME
    assert not (tmp_path / ".lock.json").exists()


def test_where_who_holds_it_cannot_be_written_an_old_name_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock.json").write_text(holder(host="far"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock, "replace_file", full)
    with hold(tmp_path / ".lock", wait_s=0.0, what="it"):
        assert not (tmp_path / ".lock.json").exists()


def test_who_holds_it_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("mine")
    (tmp_path / ".lock.json").symlink_to(tmp_path / "theirs")
    with hold(tmp_path / ".lock", wait_s=0.0, what="it"):
        assert not (tmp_path / ".lock.json").is_symlink()
    assert (tmp_path / "theirs").read_text() == "mine"


# -- what lies in its place

PLACES: dict[str, Callable[[Path], object]] = {
    "a link to a file": lambda path: path.symlink_to(path.parent.with_name("theirs")),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "a link to itself": lambda path: path.symlink_to(path),
    "a folder": Path.mkdir,
    "a folder that is full": lambda path: (path / "more").mkdir(parents=True),
    "a pipe": os.mkfifo,
}


def _memory(folder: Path) -> None:
    Memory.create(folder, np.eye(2), make_rows(["a", "b"]), encoder="e")


def _job(folder: Path) -> None:
    with held(folder, "busy"):
        pass


USERS: dict[str, tuple[Callable[[Path], None], type[Exception]]] = {
    "a memory": (_memory, MemoryFault),
    "a job": (_job, InputError),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_lock_is_refused_and_left(tmp_path: Path, place: str, user: str) -> None:
    folder = tmp_path / "dir"
    folder.mkdir()
    (tmp_path / "theirs").write_text("mine")
    PLACES[place](folder / ".lock")
    use, fault = USERS[user]
    with pytest.raises(fault, match=r"\.lock: (is a link|is not a file)") as caught:
        use(folder)
    assert type(caught.value) is fault
    assert not (folder / "nothing").exists()
    assert (tmp_path / "theirs").read_text() == "mine"
    assert os.path.lexists(folder / ".lock")
    assert not (folder / ".lock.json").exists()


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("number", [1, 13, 28, 30, 95])  # not allowed, denied, full, read-only, …
def test_a_lock_that_cannot_be_made_is_told(
    tmp_path: Path, user: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    use, fault = USERS[user]
    with pytest.raises(fault, match=rf"\.lock: cannot be locked \({os.strerror(number)}\)"):
        use(tmp_path / "dir")


def test_a_card_that_cannot_be_locked_fails_its_job(tmp_path: Path) -> None:
    (tmp_path / ".digits.lock").mkdir()
    with pytest.raises(JobFailed, match=r"\.digits\.lock: is not a file"):
        prepare("digits", tmp_path)
    assert not (tmp_path / "digits").exists()


def test_a_card_waits_for_another_process_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare("digits", tmp_path)
    shutil.rmtree(folder)
    monkeypatch.setattr(lock, "PATIENCE_S", 0.01)
    other = FileLock(tmp_path / ".digits.lock")
    other.acquire()
    told: list[str] = []

    def waiting(*arguments: Any, **options: Any) -> AbstractContextManager[None]:
        def tell(message: str) -> None:
            told.append(message)
            other.release()

        return hold(*arguments, **options, tell=tell)

    monkeypatch.setattr(sys.modules["rac.cards.prepare"], "hold", waiting)
    assert prepare("digits", tmp_path) == folder
    assert folder.is_dir()
    assert told == [f"waiting for {folder}: held by another process"]


def test_a_busy_folder_is_said_with_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    busy = pytest.raises(InputError, match=rf"^busy \(held by pid {ME} \(")
    with held(folder, "another job works there"), busy:
        _job(folder)
    _memory(tmp_path / "m")
    busy = pytest.raises(MemoryBusy, match=rf"held the lock for 0 s \(held by pid {ME} ")
    with Store(tmp_path / "m").writing(), busy, Store(tmp_path / "m", wait_s=0.0).writing():
        pass


def test_a_lock_is_let_go_where_the_work_fails(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), hold(tmp_path / ".lock", wait_s=0.0, what="it"):
            raise ZeroDivisionError
    assert not (tmp_path / ".lock.json").exists()


def test_a_folder_that_is_not_there_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockRefused, match="cannot be locked"):
        hold(tmp_path / "file" / ".lock", wait_s=0.0, what="it").__enter__()


PROMISES = [
    Promise(
        "who holds a lock",
        "a wait of more than 5 s says who is waited for, or nothing that is not true",
        "holders that were killed, on other machines; damaged and hostile notes of who it is",
        len(INFORMATION),
    ),
    Promise(
        "lock files",
        "a lock is never taken through a link; what cannot be locked is named",
        "links, folders and pipes in the place of a lock, full and read-only disks",
        len(USERS) * (len(PLACES) + 5),
    ),
]
