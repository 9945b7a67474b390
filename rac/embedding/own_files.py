"""Files that only we write: never through a link, and with a checksum of what they hold.

Checksums are XXH3 of 64 bits. They find what a disk, a copy or a torn write has done to a file;
against somebody who means to deceive they are no help, and are not meant to be.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from rac.errors import JobFailed
from retrieval_index.files import replace_file

_CHUNK_BYTES = 1 << 22


def checksum(*pieces: bytes | memoryview) -> str:
    """Give the checksum of pieces of bytes, one behind the other, in hexadecimal.

    >>> checksum(b"ab", b"c") == checksum(b"abc")
    True
    """
    digest = xxhash.xxh3_64()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def open_own(path: Path, flags: int) -> int:
    """Open a plain file of ours; give its descriptor.

    Args:
        path: of the file.
        flags: of :func:`os.open`; a file that is made is its owner's alone.

    Raises:
        OSError: it is not there, is a link or something else than a file, or may not be opened.
    """
    # Without O_NONBLOCK a pipe in the place of the file would be waited for, for ever.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "it is no plain file", str(path))
    return descriptor


def checksum_at(path: Path, start: int = 0, length: int | None = None) -> str | None:
    """Give the checksum of ``length`` bytes of a file; None where it ends before, or is a link.

    Args:
        path: of the file.
        start: first byte.
        length: bytes; None for all that follow.

    Raises:
        PermissionError: whoever asks may not read it.
    """
    digest = xxhash.xxh3_64()
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except PermissionError:
        raise
    except OSError:
        return None
    try:
        while length is None or length > 0:
            size = _CHUNK_BYTES if length is None else min(length, _CHUNK_BYTES)
            piece = os.pread(descriptor, size, start)
            if not piece:
                return digest.hexdigest() if length is None else None
            digest.update(piece)
            start += len(piece)
            length = None if length is None else length - len(piece)
    except OSError:
        # A place on the disk that cannot be read is damage like any other.
        return None
    finally:
        os.close(descriptor)
    return digest.hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the operating system say which file they are about.

    Raises:
        OSError: as in the block, with the file's name.
        JobFailed: the block's error has no number that says what it is.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:
            raise JobFailed(f"{path}: {error}") from error
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@dataclass(frozen=True)
class NumberedFile:
    """A Parquet file that holds rows from ``first`` on: ``<kind>-<first>[.<checksum>].parquet``.

    Attributes:
        path: of the file.
        first: number of its first row.
        checksum: of the file, as its name has it; None in a file of an earlier version.
    """

    path: Path
    first: int
    checksum: str | None

    @classmethod
    def find(cls, folder: Path, kind: str) -> list[NumberedFile]:
        """Give a folder's files of a kind, by their first rows; what is called otherwise is not."""
        pattern = re.compile(rf"{kind}-(\d{{12}})(?:\.([0-9a-f]{{16}}))?\.parquet")
        return [
            cls(path, int(parsed[1]), parsed[2])
            for path in sorted(folder.iterdir())
            if (parsed := pattern.fullmatch(path.name))
        ]

    @classmethod
    def write(cls, folder: Path, kind: str, first: int, content: pa.Buffer) -> NumberedFile:
        """Write a file, whole or not at all."""
        digest = checksum(memoryview(content))
        path = folder / f"{kind}-{first:012d}.{digest}.parquet"
        with naming(path), replace_file(path) as draft:
            draft.write_bytes(memoryview(content))
        return cls(path, first, digest)

    def damage(self) -> str | None:
        """Say what is wrong with the file; None where nothing is, or nothing is known."""
        if self.path.is_symlink():
            return "it is a link"
        if self.checksum is not None and checksum_at(self.path) != self.checksum:
            return "it does not hold what was written"
        return None
