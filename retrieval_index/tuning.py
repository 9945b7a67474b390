"""An approximate index built, its effort chosen, and its recall measured against exact search.

Three samples of rows are kept apart: those that the index is trained on, those that its effort is
chosen with, and those that its recall is measured with. A row that asks is not allowed to find
itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval_index.approximate import TEN, Approximate, add_rows
from retrieval_index.arrays import IntArray
from retrieval_index.errors import TargetMissed
from retrieval_index.flat import not_itself
from retrieval_index.lookup import Lookup
from retrieval_index.manifest import IndexPlan, IndexRecipe
from retrieval_index.planning import Candidate, candidates
from retrieval_index.stack import Stack

_SEED = 5
_TUNING_QUERIES = 384
_MEASURING_QUERIES = 512
_TIMED_QUERIES = 64
_TRAINING_ROWS_A_LIST = 40
_LEAST_TRAINING_ROWS = 4096
_EFFORTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
_CANDIDATES = (20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 960, 1280, 1920, 2560)
#: What is chosen on one sample falls a little short on another.
_MARGIN = 0.01


@dataclass(frozen=True)
class Samples:
    """Row numbers, no row in two of them, and the ten rows that are truly nearest to those asking.

    Attributes:
        rest: rows to train on, in random order.
        tuning: (Q,) rows that ask while the effort is chosen.
        measuring: (R,) rows that ask while the recall is measured.
        tuning_truth: (Q, 10).
        measuring_truth: (R, 10).
    """

    rest: IntArray
    tuning: IntArray
    measuring: IntArray
    tuning_truth: IntArray
    measuring_truth: IntArray

    def training(self, lists: int) -> IntArray:
        """Give rows to train an index with so many lists on, ascending."""
        wanted = max(_LEAST_TRAINING_ROWS, _TRAINING_ROWS_A_LIST * lists)
        return np.sort(self.rest[:wanted])


def build_index(lookup: Lookup, plan: IndexPlan, *, force: bool = False) -> Approximate:
    """Build the first of the plan's candidates that meets recall and latency.

    Args:
        lookup: the exact search over the N rows that are to be indexed.
        plan: what is asked for.
        force: give the best there is where all miss.

    Raises:
        TargetMissed: none meets them; the message says by how much.
        MemoryFault: the plan's memory is too small for any.
    """
    searchable = lookup.searchable
    best: Approximate | None = None
    misses = []
    choices = candidates(len(searchable), searchable.shape[1], plan)
    samples = draw_samples(lookup)
    for candidate in choices:
        trained = _trained(candidate, searchable, samples.training(candidate.lists))
        built = _tuned(lookup, trained, samples, plan)
        recipe = built.recipe
        recall, latency = recipe.measured_recall or 0.0, recipe.median_ms or 0.0
        if recall >= plan.recall and latency <= plan.latency_ms:
            return built
        misses.append(f"{recipe.factory}: recall@10 {recall:.3f}, {latency:.1f} ms")
        if best is None or recall > (best.recipe.measured_recall or 0.0):
            best = built
    if force and best is not None:
        return best
    raise TargetMissed(
        f"no index reaches recall@10 {plan.recall:g} within {plan.latency_ms:g} ms a query "
        f"({'; '.join(misses)}). Ask for less (--recall, --latency-ms), allow more memory "
        "(--max-memory), or publish the best of them with --force"
    )


def measured_recall(lookup: Lookup) -> float:
    """Measure recall@10 of a memory's search as it is now, edits included.

    Args:
        lookup: with an index; the rows that ask are chosen by a fixed seed.

    Returns:
        The share of the true ten nearest rows that is found, in [0, 1].
    """
    rows = _shuffled_alive(lookup)[-_MEASURING_QUERIES:]
    return recall_of(lookup, rows, _truth(lookup, rows))


def recall_of(lookup: Lookup, rows: IntArray, truth: IntArray) -> float:
    """Give the share of (Q, 10) true rows that Q rows find; -1 in ``truth`` counts for nothing."""
    asked = lookup.searchable[rows]
    found = lookup.search(asked, TEN, excluded=not_itself(rows), expect_excluded=1).rows
    return _share_found(found, truth)


def draw_samples(lookup: Lookup) -> Samples:
    """Draw rows for training, tuning and measuring, by a fixed seed; one exact search for both."""
    alive = _shuffled_alive(lookup)
    measuring = min(_MEASURING_QUERIES, max(1, len(alive) // 4))
    tuning = min(_TUNING_QUERIES, max(1, len(alive) // 4))
    asking = alive[-measuring - tuning :]
    truth = _truth(lookup, asking)
    return Samples(
        rest=alive[: max(1, len(alive) - measuring - tuning)],
        tuning=asking[:-measuring],
        measuring=asking[-measuring:],
        tuning_truth=truth[:-measuring],
        measuring_truth=truth[-measuring:],
    )


def _shuffled_alive(lookup: Lookup) -> IntArray:
    count = len(lookup.searchable)
    rows = np.arange(count) if lookup.alive is None else np.flatnonzero(lookup.alive)
    shuffled: IntArray = np.random.default_rng(_SEED).permutation(rows)
    return shuffled


def _trained(candidate: Candidate, searchable: Stack, training: IntArray) -> Approximate:
    import faiss

    index = faiss.index_factory(searchable.shape[1], candidate.factory, faiss.METRIC_INNER_PRODUCT)
    if candidate.lists:
        lists: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
        lists.cp.niter = 10
        lists.cp.min_points_per_centroid = 1
        lists.cp.seed = _SEED
        if candidate.kind == "ivfpq":
            # FAISS warns of few rows once for every code; recall is measured anyway.
            lists.pq.cp.min_points_per_centroid = 1
    index.train(np.ascontiguousarray(searchable[training]))
    add_rows(index, searchable)
    recipe = IndexRecipe(
        kind=candidate.kind,
        factory=candidate.factory,
        indexed=len(searchable),
        effort=1,
        candidates=TEN,
    )
    return Approximate(index, recipe)


def _tuned(lookup: Lookup, built: Approximate, samples: Samples, plan: IndexPlan) -> Approximate:
    """Choose effort and candidates on one sample, and measure recall and latency on another."""
    effort, count = _cheapest(lookup, built, samples, plan.recall + _MARGIN)
    chosen = _with(built, effort=effort, candidates=count)
    ready = Lookup(lookup.searchable, lookup.ids, lookup.alive, chosen)
    measuring = samples.measuring
    recall = recall_of(ready, measuring, samples.measuring_truth)
    return _with(
        chosen, measured_recall=round(recall, 4), median_ms=round(_median_ms(ready, measuring), 3)
    )


def _cheapest(
    lookup: Lookup, built: Approximate, samples: Samples, target: float
) -> tuple[int, int]:
    """Find effort and candidates that reach a recall and touch the fewest bytes.

    The proposals of an index come in its own order; the true ten are found with C candidates if
    they are among the first C. One search an effort therefore tells the recall for every C.
    """
    truth = samples.tuning_truth
    asked = lookup.searchable[samples.tuning]
    most = min(_CANDIDATES[-1], len(lookup.searchable))
    fallback, reached = (1, TEN), -1.0
    best: tuple[float, int, int] | None = None
    for effort in _efforts(built):
        trial = _with(built, effort=effort, candidates=most)
        proposed = trial.propose(asked, TEN, lookup.alive)
        for count in sorted({min(c, most) for c in _CANDIDATES}):
            recall = _share_found(proposed[:, :count], truth)
            if recall > reached:
                fallback, reached = (effort, count), recall
            cost = _bytes_touched(built, effort, count, lookup.searchable)
            if recall >= min(target, 1.0) and (best is None or cost < best[0]):
                best = cost, effort, count
        if best is not None and _bytes_touched(built, effort, 0, lookup.searchable) > best[0]:
            break
    return (best[1], best[2]) if best is not None else fallback


def _efforts(built: Approximate) -> list[int]:
    import faiss

    if built.recipe.kind == "hnsw":
        return [e for e in _EFFORTS if e >= 2 * TEN]
    lists = int(faiss.extract_index_ivf(built.index).nlist)
    return sorted({min(e, lists) for e in _EFFORTS})


def _bytes_touched(built: Approximate, effort: int, count: int, searchable: Stack) -> float:
    """Estimate what one query reads: codes, and the vectors that are scored exactly."""
    import faiss

    rows, dim = searchable.shape
    scored = 4.0 * dim * count
    if built.recipe.kind == "hnsw":
        return 64.0 * dim * max(effort, count) + scored
    lists = faiss.extract_index_ivf(built.index)
    return effort * rows / lists.nlist * lists.code_size + scored


def _truth(lookup: Lookup, rows: IntArray) -> IntArray:
    """Give the (Q, 10) rows that are truly nearest to Q rows, by exact search."""
    asked = lookup.searchable[rows]
    return lookup.search(asked, TEN, excluded=not_itself(rows), expect_excluded=1, exact=True).rows


def _share_found(found: IntArray, truth: IntArray) -> float:
    """Give the share of the true rows, -1 left out, that are among the found ones."""
    there = truth >= 0
    hit = (truth[:, :, np.newaxis] == found[:, np.newaxis, :]).any(axis=2) & there
    return float(hit.sum() / there.sum()) if there.any() else 1.0


def _median_ms(lookup: Lookup, rows: IntArray) -> float:
    queries = lookup.searchable[rows[:_TIMED_QUERIES]]
    lookup.search(queries, TEN)
    times = []
    for query in queries:
        start = time.perf_counter()
        lookup.search(query[np.newaxis], TEN)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def _with(built: Approximate, **changes: Any) -> Approximate:
    return Approximate(built.index, built.recipe.model_copy(update=changes), built.entry)
