"""The other side of the memory's benchmark: autofaiss, or raw FAISS where that is missing."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]

_TEN = 10
_EFFORTS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
_TRAINING_ROWS_A_LIST = 40
_SEED = 5


@dataclass(frozen=True, eq=False)
class Peer:
    """A raw FAISS index at the least effort that reaches a recall.

    Attributes:
        name: what built it, and FAISS's name for it.
        index: FAISS's index, its effort set.
        recall: recall@10 at that effort, in [0, 1].
        build_s: seconds that it took to build.
    """

    name: str
    index: Any
    recall: float
    build_s: float

    def search(self, queries: FloatArray) -> IntArray:
        """Give the (Q, 10) rows that it finds."""
        _, rows = self.index.search(queries, _TEN)
        found: IntArray = rows
        return found


def build_peer(
    vectors: FloatArray,
    queries: FloatArray,
    truth: IntArray,
    max_memory: int,
    recall: float,
    folder: Path,
) -> Peer:
    """Build the peer over (N, D) unit vectors, and set it to reach a recall on (Q, D) queries.

    autofaiss chooses the index by rows and memory; its search effort is then set to the least
    that reaches the recall. Without autofaiss, the fastest of a small grid of raw FAISS recipes
    that fit the memory stands in for it.

    Args:
        vectors: (N, D) float32.
        queries: (Q, D) float32.
        truth: (Q, 10) rows that are truly nearest.
        max_memory: bytes that the index may take.
        recall: recall@10 to reach; where the index cannot, its best is taken.
        folder: a place for files that it needs while it builds.
    """
    if find_spec("autofaiss") is not None:
        start = time.perf_counter()
        index, name = _autofaiss(vectors, max_memory, folder)
        return _set(f"autofaiss {name}", index, time.perf_counter() - start, queries, truth, recall)
    peers = []
    for name in _recipes(len(vectors), vectors.shape[1], max_memory):
        start = time.perf_counter()
        index = _raw(vectors, name)
        built = time.perf_counter() - start
        peers.append(_set(f"raw FAISS {name}", index, built, queries, truth, recall))
    reaching = [peer for peer in peers if peer.recall >= recall] or peers
    return max(reaching, key=lambda peer: _speed(peer, queries))


def _autofaiss(vectors: FloatArray, max_memory: int, folder: Path) -> tuple[Any, str]:
    # By name, because the package is not there everywhere.
    build_index = import_module("autofaiss").build_index

    place = folder / "peer"
    place.mkdir()
    np.save(place / "vectors.npy", vectors)
    size = f"{max_memory // 10**6}MB"
    index, facts = build_index(
        embeddings=str(place),
        file_format="npy",
        save_on_disk=False,
        metric_type="ip",
        max_index_memory_usage=size,
        current_memory_available=f"{max(4 * max_memory, 4 * 10**9) // 10**6}MB",
        verbose=logging.ERROR,
    )
    (place / "vectors.npy").unlink()
    return index, str(facts.get("index_key", type(index).__name__))


def _recipes(rows: int, dim: int, max_memory: int) -> list[str]:
    lists = 2 ** round(np.log2(max(1.0, min(4 * rows**0.5, rows / 39))))
    sizes = {
        "HNSW32,Flat": rows * (4 * dim + 280),
        f"IVF{lists},Flat": rows * (4 * dim + 8),
        f"IVF{lists},SQ8": rows * (dim + 8),
        f"IVF{lists},PQ{dim // 4}x4fs,RFlat": rows * (4 * dim + dim // 8 + 8),
    }
    return [name for name, size in sizes.items() if size <= max_memory]


def _raw(vectors: FloatArray, name: str) -> Any:
    import faiss

    index: Any = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    lists = int(name[3 : name.index(",")]) if name.startswith("IVF") else 1
    chosen = np.random.default_rng(_SEED).permutation(len(vectors))
    index.train(vectors[np.sort(chosen[: _TRAINING_ROWS_A_LIST * lists])])
    index.add(np.ascontiguousarray(vectors))
    return index


def _set(
    name: str, index: Any, build_s: float, queries: FloatArray, truth: IntArray, recall: float
) -> Peer:
    """Set the least effort that reaches the recall."""
    import faiss

    space = faiss.ParameterSpace()
    knob = "efSearch" if "HNSW" in name and "IVF" not in name else "nprobe"
    best = None
    for effort in _EFFORTS:
        space.set_index_parameter(index, knob, effort)
        _, rows = index.search(queries, _TEN)
        hit = (truth[:, :, np.newaxis] == rows[:, np.newaxis, :]).any(axis=2)
        best = Peer(f"{name}, {knob} {effort}", index, float(hit.mean()), build_s)
        if best.recall >= recall:
            break
    assert best is not None  # noqa: S101 - there are efforts
    return best


def _speed(peer: Peer, queries: FloatArray) -> float:
    start = time.perf_counter()
    peer.search(queries)
    return len(queries) / (time.perf_counter() - start)
