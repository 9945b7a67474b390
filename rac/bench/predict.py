"""Rows that a classifier predicts in a second: as it does it, and by the plain search, in one run.

The features are made, so that anyone can make them again: a centre for each class, classes of
unequal sizes, and noise that is strong in some directions and weak in most. The parts of the
classifier are fitted to them without training; how fast it is does not depend on that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from rac.branches.base import CosineHead, Floats, Integers, class_means
from rac.classifier import RacClassifier, metric_digest
from rac.cores import usable_cores
from rac.fusion import unfitted_fusion
from rac.model_config import ClassifierConfig, FusionConfig
from retrieval_index import EvenedMetric, Memory, make_rows

_NOISE = 4.0
_NEIGHBOURS = 30
_METRIC_ROWS = 4096
_ROUNDS = 5
_SEED = 7


class PredictBench(BaseModel):
    """What was measured.

    Attributes:
        rows: queries of one round.
        dim: D, of the features.
        classes: C.
        memory: rows of the memory.
        neighbours: k.
        cores: processor cores that could be used.
        rows_per_s: rows that ``RacClassifier.predict`` answers in a second; median of the rounds.
        reference_rows_per_s: the same by the memory's own exact search, in float64 throughout.
        ratio: the first over the second.
        cpu_us: microseconds of processor time, of all cores together, that a row takes; median.
            Unlike rows a second it says much the same on a machine that does other work too.
        reference_cpu_us: the same of the reference.
        agreement: share of the rows for which both give the same class.
        same_neighbours: share of the rows for which both find the same neighbours in the same
            order.
        largest_difference: between any two probabilities.
        accuracy: share of right answers, to show that the data are neither trivial nor noise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    dim: int
    classes: int
    memory: int
    neighbours: int
    cores: int
    rows_per_s: float
    reference_rows_per_s: float
    ratio: float
    cpu_us: float
    reference_cpu_us: float
    agreement: float
    same_neighbours: float
    largest_difference: float
    accuracy: float


def bench_predict(
    rows: int = 32_768, *, dim: int = 512, classes: int = 100, memory: int = 10_000
) -> PredictBench:
    """Measure prediction from features, by turns with the reference.

    Args:
        rows: queries of one round, at least 1.
        dim: D, at least 2.
        classes: C, at least 2.
        memory: rows of the memory, at least C.
    """
    draw = _Classes(classes, dim)
    held, truth = draw.vectors(memory, 0)
    model = _classifier(held, truth, classes)
    queries, right = draw.vectors(rows, 1)
    ours, theirs = model.predict(queries), _reference(model, queries)
    rounds = [
        (*_seconds(lambda: model.predict(queries)), *_seconds(lambda: _reference(model, queries)))
        for _ in range(_ROUNDS)
    ]
    wall, cpu, their_wall, their_cpu = (float(m) for m in np.median(rounds, axis=0))
    fast, plain = rows / wall, rows / their_wall
    said = ours.probabilities.argmax(axis=1)
    return PredictBench(
        rows=rows,
        dim=dim,
        classes=classes,
        memory=memory,
        neighbours=_NEIGHBOURS,
        cores=usable_cores(),
        rows_per_s=round(fast, 1),
        reference_rows_per_s=round(plain, 1),
        ratio=round(fast / plain, 3),
        cpu_us=round(1e6 * cpu / rows, 1),
        reference_cpu_us=round(1e6 * their_cpu / rows, 1),
        agreement=float((said == theirs[0].argmax(axis=1)).mean()),
        same_neighbours=float((ours.neighbours.rows == theirs[1]).all(axis=1).mean()),
        largest_difference=float(np.abs(ours.probabilities - theirs[0]).max()),
        accuracy=round(float((said == right).mean()), 4),
    )


def _reference(model: RacClassifier, features: Floats) -> tuple[Floats, Integers]:
    """Give probabilities and neighbours by the memory's own search."""
    base = model.head.log_probabilities(model.memory.metric.apply(features))
    near = model.memory.search(features, model.config.k)
    classes = np.where(near.rows >= 0, model.memory_classes[near.rows], -1)
    votes = model.branch.log_probabilities(near.scores, classes, model.memory_counts)
    return np.exp(model.fusion.log_probabilities(base, votes, model.train_counts)), near.rows


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Give the seconds that pass, and those that processors work for this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


class _Classes:
    """What rows are drawn from: C centres in D dimensions, and the shares of the classes."""

    def __init__(self, classes: int, dim: int) -> None:
        rng = np.random.default_rng(_SEED)
        self._spread = np.arange(1, dim + 1, dtype=np.float32) ** np.float32(-0.5)
        self._centres = rng.standard_normal((classes, dim), dtype=np.float32) * self._spread
        shares = np.arange(1, classes + 1) ** -0.5
        self._shares: npt.NDArray[np.float64] = shares / shares.sum()

    def vectors(self, count: int, number: int) -> tuple[Floats, Integers]:
        """Draw ``(count, D)`` features and the classes that they are of."""
        rng = np.random.default_rng([_SEED, number])
        truth = rng.choice(len(self._shares), count, p=self._shares).astype(np.int64)
        truth[: len(self._shares)] = np.arange(len(self._shares))[:count]
        noise = rng.standard_normal((count, len(self._spread)), dtype=np.float32)
        return self._centres[truth] + np.float32(_NOISE) * self._spread * noise, truth


def _classifier(vectors: Floats, truth: Integers, classes: int) -> RacClassifier:
    names = tuple(f"class{number:05}" for number in range(classes))
    labels = [names[number] for number in truth]
    metric = EvenedMetric.fit(vectors[:_METRIC_ROWS], labels[:_METRIC_ROWS])
    counts = np.bincount(truth, minlength=classes).astype(np.int64)
    fusion = unfitted_fusion(counts)
    numbers = FusionConfig(
        weights=fusion.weights,
        centre=fusion.centre,
        spread=fusion.spread,
        temperature=fusion.temperature,
    )
    config = ClassifierConfig(
        classes=names,
        train_counts=tuple(counts.tolist()),
        encoder="made",
        space="embedding",
        dim=vectors.shape[1],
        k=_NEIGHBOURS,
        temperature=0.05,
        gamma=0.7,
        fusion=numbers,
        fallback=numbers,
        metric_sha256=metric_digest(metric),
    )
    memory = Memory.in_ram(
        vectors,
        make_rows([f"row{row}" for row in range(len(vectors))], labels=labels),
        encoder="made",
        space="embedding",
        metric=metric,
    )
    head = CosineHead(class_means(metric.apply(vectors), truth, classes), 20.0)
    return RacClassifier(config, head, memory)
