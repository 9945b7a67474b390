"""One holder of a file at a time, who says who it is while others wait.

The lock is the operating system's: whoever dies lets go of it. Who holds it stands in a file
beside the lock, which is written after the lock is taken and removed before it is let go; one
that a killed holder left behind is told from a live one by its process.
"""

from __future__ import annotations

import errno
import getpass
import logging
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from retrieval_index.files import read_bounded, replace_file

PATIENCE_S = 5.0
"""So long a wait is silent."""

_MOST_BYTES = 4096
_MOST_WORDS = 3
_log = logging.getLogger(__name__)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds what a terminal might obey")
    return text


_Shown = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


class Holder(BaseModel):
    """Who holds a lock.

    Attributes:
        pid: of its process.
        host: the machine that it runs on.
        user: whose it is.
        command: what it runs, without arguments, which may hold secrets.
        since: when it took the lock, local time, to the second.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int = Field(gt=0, lt=1 << 31)
    host: _Shown
    user: _Shown
    command: _Shown
    since: datetime

    @classmethod
    def here(cls) -> Holder:
        """Describe this process."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a user without a name, as containers have them
            user = str(os.getuid()) if hasattr(os, "getuid") else "?"
        return cls(
            pid=os.getpid(),
            host=socket.gethostname(),
            user=user,
            command=_command(sys.argv),
            since=datetime.now().astimezone().replace(microsecond=0),
        )

    def __str__(self) -> str:
        return (
            f"held by pid {self.pid} ({self.command}, user {self.user}) on {self.host} "
            f"since {self.since:%Y-%m-%d %H:%M:%S}"
        )


class LockHeld(Exception):
    """Another holds the lock and did not let go in time; the message says who."""


class LockRefused(Exception):
    """The lock's file cannot be used; the message says why."""


@contextmanager
def hold(
    path: Path,
    *,
    wait_s: float | None,
    what: str,
    tell: Callable[[str], None] = _log.warning,
) -> Iterator[None]:
    """Hold a lock for the length of the block.

    A wait of more than ``PATIENCE_S`` is told once, with who holds it.

    Args:
        path: the lock's file; its folder is there already. It is left when the lock is let go.
        wait_s: seconds to wait for another holder; None waits for ever.
        what: what the lock stands for, as a wait names it.
        tell: takes that sentence; by default a warning is logged.

    Raises:
        LockHeld: another holder did not let go within ``wait_s``.
        LockRefused: the file is a link, no regular file, or may not be written.
    """
    lock = _taken(path, wait_s, what, tell)
    beside = path.with_name(f"{path.name}.json")
    try:
        _write_holder(beside)
        try:
            yield
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    finally:
        lock.release()


def _taken(path: Path, wait_s: float | None, what: str, tell: Callable[[str], None]) -> FileLock:
    _refuse_other_files(path)
    lock = FileLock(path)
    patience = PATIENCE_S if wait_s is None else min(PATIENCE_S, wait_s)
    try:
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            rest = -1.0 if wait_s is None else wait_s - patience
            if rest == 0.0:
                raise
            tell(f"waiting for {what}: {_held_by(path)}")
            lock.acquire(timeout=rest)
    except Timeout:
        raise LockHeld(_held_by(path)) from None
    except (OSError, NotImplementedError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else None
        raise LockRefused(f"{path}: cannot be locked ({reason or fault})") from fault
    return lock


def _refuse_other_files(path: Path) -> None:
    """Refuse a link, which could lead to a file of others, and what is no file at all."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as fault:
        raise LockRefused(f"{path}: cannot be locked ({fault.strerror or fault})") from fault
    if stat.S_ISLNK(mode):
        raise LockRefused(f"{path}: is a link, and no lock is taken through one; remove it")
    if not stat.S_ISREG(mode):
        raise LockRefused(f"{path}: is not a file, so it cannot be locked; remove it")


def _write_holder(beside: Path) -> None:
    """Say who we are; where that cannot be written, nothing is said rather than an old name."""
    try:
        with replace_file(beside, durable=False) as draft:
            draft.write_text(Holder.here().model_dump_json() + "\n", encoding="utf-8")
    except (OSError, ValueError):
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _held_by(path: Path) -> str:
    holder = _read_holder(path.with_name(f"{path.name}.json"))
    return "held by another process" if holder is None else str(holder)


def _read_holder(beside: Path) -> Holder | None:
    """Read who holds the lock; None where that is not known."""
    try:
        holder = Holder.model_validate_json(read_bounded(beside, _MOST_BYTES))
    except (OSError, ValidationError):
        return None
    if holder.host == socket.gethostname() and not _runs(holder.pid):
        return None  # it was killed, and another has the lock by now
    return holder


def _runs(pid: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere signal 0 is not a question
    try:
        os.kill(pid, 0)
    except OSError as fault:
        return fault.errno == errno.EPERM
    return True


def _command(arguments: list[str]) -> str:
    """Give the program and its subcommands; what comes after them is nobody's business.

    >>> _command(["/usr/bin/rac", "index", "add", "runs/memory", "items.csv"])
    'rac index add'
    >>> _command(["/home/me/job.py", "secret"])
    'job.py'
    """
    program = Path(arguments[0]).name if arguments else ""
    words = [program or "python"]
    if program == "rac":
        for word in arguments[1:_MOST_WORDS]:
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            words.append(word)
    return " ".join(words)
