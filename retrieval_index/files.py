"""Files that are written whole or not at all, and read without waiting for anything."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_CHUNK_BYTES = 1 << 20
_PART = ".part"

DRAFT_ENDING = r"\.(?:[0-9a-f]{16}|[a-z0-9_]{8})\.part"
"""Pattern of what stands behind a dot and the target's name in the names of drafts: of files, and,
shorter, of folders and of what earlier releases left."""

#: What writing fails with where the disk is full, or may not be written to.
WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


@contextmanager
def replace_file(
    path: str | Path, *, private: bool = False, durable: bool = True
) -> Iterator[Path]:
    """Give a temporary path to write; on success it becomes ``path`` in one atomic rename.

    The temporary file lies beside ``path``, so that the rename never crosses a file system, and
    is always a new one. If the block raises, it is removed and whatever ``path`` held stays as it
    was. Where ``path`` is a link, the link is replaced; what it points to is not touched.

    Args:
        path: the file to create or replace; its folder is created where it is missing.
        private: only the owner may read or write it (0600); else the user's umask decides.
        durable: ask the disk to keep it, so that it outlives a loss of power.

    Yields:
        The path to write to. It exists, empty, and may be opened or replaced.

    Raises:
        OSError: it cannot be written; ``filename`` is ``path``, also where the disk is full.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "answer.txt"
    >>> with replace_file(target) as draft:
    ...     _ = draft.write_text("42")
    >>> target.read_text()
    '42'
    """
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    draft, mode = _new_draft(target, private)
    try:
        with told_of(target, draft):
            yield draft
        with told_of(target, draft, None):
            # The block may have put a file of its own there.
            draft.chmod(mode)
            if durable:
                sync_file(draft)
            draft.replace(target)
            if durable:
                sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def _new_draft(target: Path, private: bool) -> tuple[Path, int]:
    """Make an empty file beside ``target``; give its path and its mode."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_PART}")
    with told_of(target, draft, None):
        handle = os.open(draft, flags, 0o600 if private else 0o666)
    try:
        return draft, stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def is_draft_of(path: Path, name: str) -> bool:
    """Say whether a file is what ``replace_file`` leaves of ``name`` where it is killed.

    >>> is_draft_of(Path("a/.b.txt.0123456789abcdef.part"), "b.txt")
    True
    """
    return re.fullmatch(rf"\.{re.escape(name)}{DRAFT_ENDING}", path.name) is not None


@contextmanager
def told_of(target: Path, draft: Path, kinds: Collection[int] | None = WRITING) -> Iterator[None]:
    """Let errors that name no file, or something of a draft, name what is being written.

    Args:
        target: what they then name.
        draft: a temporary file or folder, which the person at the keyboard does not know.
        kinds: numbers of the errors that must be of the target where they name no file; None for
            all.
    """
    try:
        yield
    except OSError as fault:
        named = None if fault.filename is None else Path(os.fsdecode(fault.filename))
        ours = named is None and fault.errno is not None and (kinds is None or fault.errno in kinds)
        if ours or (named is not None and named.is_relative_to(draft)):
            fault.filename = str(target)
        raise


def sync_file(path: str | Path) -> None:
    """Ask the operating system to put a file's contents on the disk."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def sync_folder(path: str | Path) -> None:
    """Ask the operating system to put a folder's entries (renames, new files) on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading; a pipe, a device or a folder in its place is not waited for.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: str | Path, most: int) -> bytes:
    """Read a whole file of at most ``most`` bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer.
    """
    with open_regular(path) as handle:
        data = handle.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is longer than {most:,} bytes", str(path))
    return data


def sha256_file(path: str | Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal."""
    with open_regular(path) as handle:
        return sha256_of(handle)


def sha256_of(handle: BinaryIO) -> str:
    """Give the SHA-256 of what an open file holds from here on, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := handle.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
