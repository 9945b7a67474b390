"""What the embedding caches hold, and removing what nobody uses any more."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import lmdb

from rac.embedding.cache import DESCRIPTION, caches_folder

_DAY_S = 86_400


@dataclass(frozen=True)
class CacheInfo:
    """The cache of one encoder.

    Attributes:
        path: its folder.
        encoder: the encoder's name, as it was last used.
        identity: of the encoder.
        entries: images.
        size_bytes: on the disk.
        unused_days: since an embedding was last asked for or kept.
    """

    path: Path
    encoder: str
    identity: str
    entries: int
    size_bytes: int
    unused_days: float


def list_caches(folder: Path | None = None) -> list[CacheInfo]:
    """Describe every cache, the one used last first.

    Args:
        folder: where the caches lie; the cache home's by default.
    """
    home = folder or caches_folder()
    if not home.is_dir():
        return []
    found = [_describe(path) for path in home.iterdir() if (path / "data.mdb").is_file()]
    return sorted(found, key=lambda cache: cache.unused_days)


def prune_caches(unused_days: float, folder: Path | None = None) -> list[CacheInfo]:
    """Remove the caches that were not used for so many days; 0 removes all.

    A process that has one of them open goes on with what it has; what it adds is lost.

    Returns:
        What was removed.
    """
    removed = [cache for cache in list_caches(folder) if cache.unused_days >= unused_days]
    for cache in removed:
        shutil.rmtree(cache.path)
    return removed


def _describe(path: Path) -> CacheInfo:
    description = path / DESCRIPTION
    try:
        encoder = str(json.loads(description.read_text(encoding="utf-8"))["encoder"])
        used = description.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        encoder, used = "unknown", (path / "data.mdb").stat().st_mtime
    with lmdb.open(str(path), readonly=True, lock=False, subdir=True) as environment:
        entries = int(environment.stat()["entries"])
    size = sum(file.stat().st_blocks * 512 for file in path.iterdir())
    unused = max(0.0, time.time() - used) / _DAY_S
    return CacheInfo(path, encoder, path.name, entries, size, round(unused, 2))
