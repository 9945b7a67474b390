"""The memory's index beside autofaiss's, on the same vectors, with the same memory, in one run.

The vectors are made, not embedded, so that anyone can make any number of them again. Real
embeddings lie in many small and uneven clusters, with a noise about them that is larger than the
distance between neighbouring clusters' members suggests, and vary much in some directions and
little in most. So: one cluster for a hundred vectors, sizes by Zipf's law with exponent 1/2,
centres and noise both Gaussian with standard deviations that fall with the root of the
direction's number, the noise ``NOISE`` times as strong as the centres, all turned by a random
rotation and scaled to norm 1. A vector then has a cosine of about 0.5 with its nearest ten among
100,000, which is what the joint embeddings of photographs of one class have.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from rac.bench.memory_peer import Peer, build_peer
from retrieval_index import Batch, IndexPlan, Memory, make_rows
from retrieval_index.approximate import score_proposals

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]

NOISE = 1.7
"""Strength of the noise about a cluster's centre, relative to the centre's own length."""

_ROWS_A_CLUSTER = 100
_BLOCK_ROWS = 16_384
_QUERIES = 1024
_BATCH = 256
_SINGLE_QUERIES = 200
_ROUNDS = 5
_EDITED = 1000
_SEED = 11
_TEN = 10


class MemoryBench(BaseModel):
    """What was measured.

    Attributes:
        rows: N.
        dim: D.
        cores: processor cores that could be used.
        max_memory: bytes that either index was allowed.
        recall_at_10: share of the true ten nearest that our search finds, on held-out queries.
        p50_ms: median time of a search for one query.
        batch_qps: queries a second in batches of 256.
        peer_batch_qps: the same of the peer, at the least effort with which its recall is at
            least the smaller of ours and the target; null where there is no peer.
        ratio_to_peer: ours over the peer's.
        peer: what the peer is; null where it was left out.
        peer_recall_at_10: its recall at that effort.
        peer_build_s: seconds that the peer took to build.
        overhead_at_256: time of our search over that of the raw FAISS calls in it, less one.
        open_s: seconds to open the memory.
        build_s: seconds to build it, the making of the vectors included.
        build_peak_bytes: peak of the process's own memory while it built; mapped files, which the
            system may drop at any time, are not counted.
        index_bytes: size of the index's file.
        memory_bytes: size of all files of the memory.
        delete_s: seconds from the call that deletes 1,000 rows until a search has run without
            them.
        upsert_s: the same for replacing 1,000 rows.
        index: FAISS's name of our index.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    dim: int
    cores: int
    max_memory: int
    recall_at_10: float
    p50_ms: float
    batch_qps: float
    peer_batch_qps: float | None
    ratio_to_peer: float | None
    peer: str | None
    peer_recall_at_10: float | None
    peer_build_s: float | None
    overhead_at_256: float
    open_s: float
    build_s: float
    build_peak_bytes: int
    index_bytes: int
    memory_bytes: int
    delete_s: float
    upsert_s: float
    index: str


@dataclass(frozen=True, eq=False)
class Clusters:
    """A distribution of unit vectors in many uneven clusters.

    Attributes:
        centres: (C, D) float32.
        weights: (C,) shares of the clusters, sum 1.
        spread: (D,) float32 standard deviations by direction, before the rotation.
        rotation: (D, D) float32, orthogonal.
    """

    centres: FloatArray
    weights: npt.NDArray[np.float64]
    spread: FloatArray
    rotation: FloatArray

    @classmethod
    def for_rows(cls, rows: int, dim: int) -> Clusters:
        """Make the distribution that N vectors of dimension D are drawn from."""
        rng = np.random.default_rng(_SEED)
        count = max(1, rows // _ROWS_A_CLUSTER)
        spread = (np.arange(1, dim + 1) ** -0.5).astype(np.float32)
        spread /= np.linalg.norm(spread)
        weights = np.arange(1, count + 1) ** -0.5
        rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        centres = rng.standard_normal((count, dim), dtype=np.float32) * spread
        return cls(centres, weights / weights.sum(), spread, rotation.astype(np.float32))

    def draw(self, count: int, seed: int) -> FloatArray:
        """Draw (count, D) unit vectors."""
        rng = np.random.default_rng([_SEED, seed])
        vectors = self.centres[rng.choice(len(self.weights), count, p=self.weights)]
        noise = rng.standard_normal(vectors.shape, dtype=np.float32)
        vectors += np.float32(NOISE) * self.spread * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        turned: FloatArray = vectors @ self.rotation
        return turned


def bench_memory(
    rows: int,
    dim: int,
    *,
    max_memory: int | None = None,
    recall: float = 0.95,
    peer: bool = True,
    folder: Path | None = None,
) -> MemoryBench:
    """Build both indexes over the same vectors and measure them.

    Args:
        rows: N, at least 1,001.
        dim: D.
        max_memory: bytes that either index may take; twice the vectors' by default, which lets
            the peer keep them whole.
        recall: recall@10 that both must reach.
        peer: whether to build the peer too.
        folder: where to put the files; a temporary folder that is removed by default.
    """
    budget = max_memory or 8 * rows * dim
    clusters = Clusters.for_rows(rows, dim)
    queries = clusters.draw(_QUERIES, 0)
    with _folder(folder) as place:
        start = time.perf_counter()
        with _peak_bytes() as peak:
            memory = Memory.build(
                place / "memory",
                _batches(clusters, rows),
                encoder="bench",
                metric="cosine",
                plan=IndexPlan(max_memory=budget, recall=recall),
            )
        build_s = time.perf_counter() - start
        del memory
        gc.collect()
        start = time.perf_counter()
        memory = Memory.open(place / "memory")
        open_s = time.perf_counter() - start
        truth = _exact(memory.searchable, queries)
        found = memory.search(queries, _TEN).rows
        ours = recall_at_ten(found, truth)
        other = None
        if peer:
            other = build_peer(memory.searchable, queries, truth, budget, min(ours, recall), place)
        qps, peer_qps = _throughputs(memory, other, queries)
        p50 = _median_ms(memory, queries)
        overhead = _overhead(memory, queries)
        files = memory.manifest.files
        index_bytes = files["index"].bytes if "index" in files else 4 * rows * dim
        memory_bytes = sum(entry.bytes for entry in memory.manifest.all_files())
        delete_s, upsert_s = _edits(memory, clusters)
        return MemoryBench(
            rows=rows,
            dim=dim,
            cores=len(os.sched_getaffinity(0)),
            max_memory=budget,
            recall_at_10=round(ours, 4),
            p50_ms=round(p50, 3),
            batch_qps=round(qps, 1),
            peer_batch_qps=None if peer_qps is None else round(peer_qps, 1),
            ratio_to_peer=None if peer_qps is None else round(qps / peer_qps, 3),
            peer=None if other is None else other.name,
            peer_recall_at_10=None if other is None else round(other.recall, 4),
            peer_build_s=None if other is None else round(other.build_s, 1),
            overhead_at_256=round(overhead, 3),
            open_s=round(open_s, 3),
            build_s=round(build_s, 1),
            build_peak_bytes=peak[0],
            index_bytes=index_bytes,
            memory_bytes=memory_bytes,
            delete_s=round(delete_s, 3),
            upsert_s=round(upsert_s, 3),
            index=memory.manifest.index.factory or "flat",
        )


def recall_at_ten(found: IntArray, truth: IntArray) -> float:
    """Give the share of (Q, 10) true rows that are among the (Q, 10) found ones."""
    hit = (truth[:, :, np.newaxis] == found[:, np.newaxis, :]).any(axis=2)
    return float(hit.mean())


def _batches(clusters: Clusters, rows: int) -> Iterator[Batch]:
    for start in range(0, rows, _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, rows - start)
        ids = [f"row-{row:09}" for row in range(start, start + count)]
        yield Batch(clusters.draw(count, 1 + start), make_rows(ids))


def _exact(searchable: FloatArray, queries: FloatArray) -> IntArray:
    import faiss

    _, rows = faiss.knn(queries, searchable, _TEN, metric=faiss.METRIC_INNER_PRODUCT)
    truth: IntArray = rows
    return truth


def _throughputs(
    memory: Memory, other: Peer | None, queries: FloatArray
) -> tuple[float, float | None]:
    """Give the median queries a second of both sides, measured by turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(_ROUNDS):
        ours.append(_queries_a_second(lambda block: memory.search(block, _TEN), queries))
        if other is not None:
            theirs.append(_queries_a_second(other.search, queries))
    return float(np.median(ours)), float(np.median(theirs)) if theirs else None


def _queries_a_second(search: Callable[[FloatArray], object], queries: FloatArray) -> float:
    start = time.perf_counter()
    for top in range(0, len(queries), _BATCH):
        search(queries[top : top + _BATCH])
    return len(queries) / (time.perf_counter() - start)


def _median_ms(memory: Memory, queries: FloatArray) -> float:
    times = []
    for query in queries[:_SINGLE_QUERIES]:
        start = time.perf_counter()
        memory.search(query[np.newaxis], _TEN)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def _overhead(memory: Memory, queries: FloatArray) -> float:
    """Give how much longer our search takes than FAISS's part of it, at batch 256."""
    lookup = memory.lookup
    index = lookup.index

    def raw(block: FloatArray) -> object:
        if index is None:
            return _exact(memory.searchable, block)
        rows = index.propose(block, _TEN)
        return score_proposals(lookup.searchable, block, rows)

    # By turns, and the medians, because other work on the machine comes and goes.
    pairs = [
        (
            _queries_a_second(raw, queries),
            _queries_a_second(lambda block: memory.search(block, _TEN), queries),
        )
        for _ in range(_ROUNDS)
    ]
    return float(np.median([fast / whole for fast, whole in pairs])) - 1


def _edits(memory: Memory, clusters: Clusters) -> tuple[float, float]:
    """Time a delete and an upsert of 1,000 rows, until a search has seen them."""
    query = clusters.draw(1, 0)
    gone = memory.ids[: 2 * _EDITED : 2]
    start = time.perf_counter()
    without = memory.delete(gone)
    without.search(query, _TEN)
    delete_s = time.perf_counter() - start
    new = Batch(clusters.draw(_EDITED, 2), make_rows(memory.ids[1 : 2 * _EDITED : 2]))
    start = time.perf_counter()
    without.upsert(new.vectors, new.rows).search(query, _TEN)
    return delete_s, time.perf_counter() - start


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="rac-bench-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _peak_bytes() -> Iterator[list[int]]:
    """Watch the process's own memory; what is yielded holds the peak in the end."""
    peak = [_own_bytes()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], _own_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def _own_bytes() -> int:
    """Give the bytes of memory that are the process's own, not pages of mapped files."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status does not tell RssAnon; the benchmark needs Linux")
