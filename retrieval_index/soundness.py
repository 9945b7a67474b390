"""Which files hold what the manifest says, without hashing in vain those that are known to.

A file is hashed before its first use in a process; while its size, times and inode stay as they
were then, it is not hashed again. For a large file the same is remembered between processes, in a
stamp file in the memory's folder: a memory of ten million rows so opens as fast the second time
as a small one. A stamp that comes with a folder from elsewhere is of no use, as no copy has the
same inode and time of change; nor is one that is old, so that a disk that rots is noticed in the
end. A folder that cannot be written to has no stamps, and its files are hashed by every process.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval_index.files import open_regular, read_bounded, replace_file, sha256_of
from retrieval_index.manifest import FileEntry

STAMPS: Final = ".verified.json"

SMALL_BYTES = 64 << 20
"""Files of at most so many bytes are hashed by every process that opens them."""

_DAYS_NS: Final = 30 * 24 * 3600 * 10**9
#: File systems tell times apart to some milliseconds; a change within them would not show.
_TICK_NS: Final = 10**8
_MOST_STAMP_BYTES: Final = 1 << 22
_MOST_THREADS: Final = 8


class _State(BaseModel):
    """A file as the file system knows it; whoever changes its bytes changes this too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _State:
        return cls(
            bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )


class _Stamp(BaseModel):
    """A file that was found to be sound: its SHA-256, its state then, and when that was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    state: _State
    at_ns: int


class _Stamps(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, _Stamp]


@dataclass(frozen=True)
class Checked:
    """What came out for some files.

    Attributes:
        faults: what is wrong with which; each names its file.
        fresh: paths, as the manifest gives them, of those that were read just now. What lies in
            them is to be looked at before ``accept``.
    """

    folder: Path
    faults: list[str]
    fresh: frozenset[str]
    _found: dict[str, _Stamp] = field(default_factory=dict)

    def accept(self) -> None:
        """Remember that the fresh files are sound, and what lies in them is too."""
        remember(self.folder, self._found)


_known: dict[str, _Stamp] = {}
_guard = Lock()


def check_files(folder: Path, entries: Iterable[FileEntry], *, everything: bool = False) -> Checked:
    """Compare files with their entries.

    Args:
        folder: the memory's.
        entries: which files.
        everything: hash them all, whatever is known of them.
    """
    faults: list[str] = []
    to_hash: list[FileEntry] = []
    stamps: dict[str, _Stamp] | None = None
    for entry in {entry.path: entry for entry in entries}.values():
        path = folder / entry.path
        fault = length_fault(path, entry)
        if fault is not None:
            faults.append(fault)
            continue
        with _guard:
            known = None if everything else _known.get(str(path.absolute()))
        if known is None and entry.bytes > SMALL_BYTES and not everything:
            stamps = _read_stamps(folder) if stamps is None else stamps
            known = stamps.get(entry.path)
        if known is None or not _still(known, path, entry):
            to_hash.append(entry)
    found: dict[str, _Stamp] = {}
    if to_hash:
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1, len(to_hash))) as pool:
            results = pool.map(lambda entry: _hashed(folder / entry.path, entry), to_hash)
            for entry, (fault, stamp) in zip(to_hash, results, strict=True):
                if fault is not None:
                    faults.append(fault)
                elif stamp is not None:
                    found[entry.path] = stamp
    return Checked(folder, faults, frozenset(entry.path for entry in to_hash), found)


def length_fault(path: Path, entry: FileEntry) -> str | None:
    """Say what is wrong with a file's presence or length, or None."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: is missing"
    except OSError as fault:
        return f"{path}: cannot be read ({fault.strerror or fault})"
    if not stat.S_ISREG(status.st_mode):
        return f"{path}: is not a regular file"
    if status.st_size != entry.bytes:
        return f"{path}: has {status.st_size} bytes, the manifest says {entry.bytes}"
    return None


def hash_written(path: Path) -> tuple[str, _Stamp | None]:
    """Hash a file that was just written; give its SHA-256 and what ``remember`` takes.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as handle:
        before = _State.of(os.fstat(handle.fileno()))
        start = time.time_ns()
        digest = sha256_of(handle)
        after = _State.of(os.fstat(handle.fileno()))
    # Where the clock has not moved on since the last change, the next one would look the same.
    settled = before == after and start - after.modified_ns > _TICK_NS
    return digest, _Stamp(sha256=digest, state=after, at_ns=start) if settled else None


def remember(folder: Path, found: dict[str, _Stamp]) -> None:
    """Note that files are sound; of the large ones between processes too, where that can be."""
    if not found:
        return
    with _guard:
        for name, stamp in found.items():
            _known[str((folder / name).absolute())] = stamp
    large = {name: one for name, one in found.items() if one.state.bytes > SMALL_BYTES}
    if not large:
        return
    kept = {name: one for name, one in _read_stamps(folder).items() if (folder / name).exists()}
    text = _Stamps(files={**kept, **large}).model_dump_json(indent=1)
    # It saves time and is needed for nothing: where it cannot be written, it is done without.
    with suppress(OSError), replace_file(folder / STAMPS, durable=False) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def _hashed(path: Path, entry: FileEntry) -> tuple[str | None, _Stamp | None]:
    try:
        digest, stamp = hash_written(path)
    except OSError as fault:
        return f"{path}: cannot be read ({fault.strerror or fault})", None
    if digest != entry.sha256:
        return f"{path}: its bytes do not match the SHA-256 in the manifest", None
    return None, stamp


def _still(known: _Stamp, path: Path, entry: FileEntry) -> bool:
    """Say whether a file is as it was when it was found to be what the entry says."""
    age = time.time_ns() - known.at_ns
    if known.sha256 != entry.sha256 or not 0 <= age < _DAYS_NS:
        return False
    try:
        return _State.of(path.stat()) == known.state
    except OSError:
        return False


def _read_stamps(folder: Path) -> dict[str, _Stamp]:
    """Read the stamps; damaged ones are as good as none."""
    try:
        return _Stamps.model_validate_json(
            read_bounded(folder / STAMPS, _MOST_STAMP_BYTES), strict=True
        ).files
    except (OSError, ValidationError):
        return {}
