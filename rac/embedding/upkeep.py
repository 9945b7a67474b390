"""What the embedding caches hold, and removing what nobody uses any more."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rac.embedding.cache import ASIDE, DESCRIPTION, SUFFIX, caches_folder, read_description
from rac.embedding.entries import FILE, JOURNAL, LOG_FILES, Entries, EntriesFault

_DAY_S = 86_400
_FIRST_VERSION = ("data.mdb", "lock.mdb")
_OURS = {FILE, JOURNAL, *LOG_FILES, DESCRIPTION, *_FIRST_VERSION}
#: What replacing our files leaves where the process is killed.
_DRAFT = re.compile(rf"\.({'|'.join(map(re.escape, sorted(_OURS)))})\.\w+\.part")
#: A cache that was being made when its process was killed.
_UNFINISHED = re.compile(rf"\.(?P<identity>.+){re.escape(SUFFIX)}\.\w+\.part")


class CacheState(StrEnum):
    """Whether a cache can be used."""

    sound = "sound"
    """Its files open; its values are checked one by one as they are used."""
    damaged = "damaged"
    """It does not open; the next job that uses the encoder sets it aside."""
    aside = "set aside"
    """It was damaged, and set aside."""
    earlier = "earlier version"
    """Of an earlier version of the product, and not used by this one."""
    unfinished = "unfinished"
    """Its process was killed while it made it."""


@dataclass(frozen=True)
class CacheInfo:
    """The cache of one encoder.

    Attributes:
        path: its folder.
        encoder: the encoder's name, as it was last used.
        identity: of the encoder.
        state: whether it can be used.
        entries: images; None where nobody can tell.
        size_bytes: on the disk.
        unused_days: since it was last opened.
        fault: why it cannot be used; empty where it can.
    """

    path: Path
    encoder: str
    identity: str
    state: CacheState
    entries: int | None
    size_bytes: int
    unused_days: float
    fault: str = ""


@dataclass(frozen=True)
class Pruned:
    """What became of the caches that were to be removed.

    Attributes:
        removed: those that are gone.
        left: those that could not be removed, each with the reason.
    """

    removed: list[CacheInfo]
    left: list[tuple[CacheInfo, str]]


def list_caches(folder: Path | None = None) -> list[CacheInfo]:
    """Describe every cache, whatever has become of it, the one used last first.

    Args:
        folder: where the caches lie; the cache home's by default. What lies there besides caches is
            passed over.

    Raises:
        OSError: the folder cannot be read.
    """
    home = folder or caches_folder()
    if not home.is_dir():
        return []
    found = [cache for path in home.iterdir() if (cache := _describe(path)) is not None]
    return sorted(found, key=lambda cache: (cache.unused_days, cache.path))


def prune_caches(unused_days: float, folder: Path | None = None) -> Pruned:
    """Remove the caches that were not used for so many days, and the useless ones of any age.

    Useless are those that are damaged or were set aside. Of a cache's folder only what is ours is
    removed; one that holds anything else is left. A link is removed, and not what it points to. A
    process that has one of them open goes on, and begins a new one when it has something to keep.

    Args:
        unused_days: 0 removes all.
        folder: where the caches lie; the cache home's by default.

    Raises:
        OSError: the folder cannot be read.
    """
    pruned = Pruned([], [])
    for cache in list_caches(folder):
        useless = cache.state in (CacheState.damaged, CacheState.aside)
        if not useless and cache.unused_days < unused_days:
            continue
        try:
            _remove(cache.path)
        except OSError as error:
            pruned.left.append((cache, error.strerror or str(error)))
        else:
            pruned.removed.append(cache)
    return pruned


def _describe(path: Path) -> CacheInfo | None:
    """Describe what lies at a path; None where it is nothing of ours."""
    identity, state = _parse(path)
    if state is None:
        return None
    entries, fault = None, ""
    if state is CacheState.sound:
        try:
            entries = _count(path)
        except (EntriesFault, OSError) as error:
            state, fault = CacheState.damaged, str(error)
    return CacheInfo(
        path=path,
        encoder=read_description(path / DESCRIPTION) or "unknown",
        identity=identity,
        state=state,
        entries=entries,
        size_bytes=_size(path),
        unused_days=round(_unused_s(path) / _DAY_S, 2),
        fault=fault,
    )


def _parse(path: Path) -> tuple[str, CacheState | None]:
    """Give the encoder's identity, and of what kind a cache is by its name."""
    if unfinished := _UNFINISHED.fullmatch(path.name):
        return unfinished["identity"], CacheState.unfinished
    identity, aside, _ = path.name.partition(f"{SUFFIX}{ASIDE}")
    if aside:
        return identity, CacheState.aside
    if path.name.endswith(SUFFIX):
        return path.name.removesuffix(SUFFIX), CacheState.sound
    if not path.is_symlink() and os.path.lexists(path / _FIRST_VERSION[0]):
        return path.name, CacheState.earlier
    return "", None


def _count(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        raise EntriesFault("it is no folder of ours")
    entries = Entries(path, 0)
    try:
        return len(entries)
    finally:
        entries.close()


def _files(path: Path) -> list[Path]:
    """List a cache's folder; a cache that is no folder is its own only file."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            return list(path.iterdir())
    except OSError:
        return []
    return [path]


def _size(path: Path) -> int:
    size = 0
    for file in _files(path):
        try:
            size += file.lstat().st_blocks * 512
        except OSError:
            continue
    return size


def _unused_s(path: Path) -> float:
    """Give for how long a cache was not opened, by the first of its files that is there."""
    for file in (path / DESCRIPTION, path / FILE, path):
        try:
            return max(0.0, time.time() - file.lstat().st_mtime)
        except OSError:
            continue
    return 0.0


def _remove(path: Path) -> None:
    """Remove a cache.

    Raises:
        OSError: that is not allowed, or the folder holds what is not ours.
    """
    files = _files(path)
    if files == [path]:
        path.unlink()
        return
    for file in files:
        if file.name not in _OURS and not _DRAFT.fullmatch(file.name):
            raise OSError(f"it holds {file.name}, which is not of a cache")
    for file in files:
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink()
    path.rmdir()
