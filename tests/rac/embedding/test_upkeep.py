"""Looking after the caches."""

from __future__ import annotations

import os
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from rac.embedding import EmbeddingCache
from rac.embedding.upkeep import list_caches, prune_caches
from tests.toy import ToyEncoder


def fill(folder: Path, identity: str, first: int, count: int = 50) -> None:
    """Put entries into a cache, some at a time, as a job does."""
    with EmbeddingCache(ToyEncoder(identity), folder) as cache:
        for number in range(first, first + count):
            vectors = np.full(3, number, np.float32), np.full(12, number, np.float32)
            cache.put({f"{number:064x}": vectors})


def test_caches_are_listed_by_use_and_removed_by_age(tmp_path: Path) -> None:
    fill(tmp_path, "old", 0)
    fill(tmp_path, "new", 0, 70)
    month_ago = time.time() - 30 * 86_400
    os.utime(tmp_path / "old.v2" / "encoder.json", (month_ago, month_ago))
    caches = list_caches(tmp_path)
    assert [(cache.identity, cache.entries, cache.encoder) for cache in caches] == [
        ("new", 70, "toy"),
        ("old", 50, "toy"),
    ]
    assert caches[1].unused_days == pytest.approx(30, abs=0.1)
    assert all(cache.size_bytes > 1000 for cache in caches)
    assert [cache.identity for cache in prune_caches(7, tmp_path).removed] == ["old"]
    assert [cache.identity for cache in list_caches(tmp_path)] == ["new"]
    fill(tmp_path, "old", 0)  # a pruned cache begins anew
    assert len(prune_caches(0, tmp_path).removed) == 2
    assert list(tmp_path.iterdir()) == []
    assert list_caches(tmp_path / "nowhere") == []


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    spawn = get_context("spawn")
    writers = [spawn.Process(target=fill, args=(tmp_path, "shared", 100 * n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with EmbeddingCache(ToyEncoder("shared"), tmp_path) as cache:
        assert len(cache) == 150
        for number in (0, 149, 249):
            found = cache.get(f"{number:064x}")
            assert found is not None
            assert found[1].tolist() == [number] * 12
