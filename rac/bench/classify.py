"""Our classifier beside every baseline: on the same features, tuned on the same rows, in one run.

Settings are chosen on validation rows, or by cross-fitting where there are none; test rows are only
measured on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from eval.baselines import BASELINES, Baseline, Queries, tune
from eval.baselines.figures import SeededPredictions, seed_figures
from eval.baselines.temperature import softened
from rac.bench.classify_data import ClassifyData

OURS = "rac"

Scalar = str | int | float | bool | None
Probabilities = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Fitted:
    """A classifier that was trained with a seed.

    Attributes:
        probabilities: from N queries to (N, C), calibrated, in the order of the data's classes.
        setting: what it chose for itself.
    """

    probabilities: Callable[[Queries], Probabilities]
    setting: Mapping[str, Scalar]


Challenger = Callable[[ClassifyData, int], Fitted]
"""Trains what is compared with the baselines, with a seed; it may look at all but test rows."""


class MethodResult(BaseModel):
    """One method; figures are means over the seeds, None where a group has no test rows.

    Attributes:
        seconds: of choosing the setting, and of one training and prediction (mean over seeds).
        setting: what was chosen for it.
        intervals: 95 %, of another draw of test rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    top1: float | None
    macro: float | None
    head: float | None
    mid: float | None
    tail: float | None
    ece: float | None
    seconds: float
    setting: dict[str, Scalar]
    intervals: dict[str, tuple[float, float] | None]


class ClassifyBench(BaseModel):
    """What ``rac bench classify --json`` prints.

    Attributes:
        rows: used, by split; ``left_out``: without a label or a readable image, or of a class
            without a training row.
        classes: with training rows.
        seeds: that methods with randomness were trained with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    encoder: str
    encoder_identity: str
    rows: dict[str, int]
    classes: int
    seeds: int
    methods: dict[str, MethodResult]


def bench_classify(
    data: ClassifyData,
    ours: Challenger,
    *,
    seeds: int,
    baselines: Sequence[Baseline[Any]] = BASELINES,
    ablations: Mapping[str, Challenger] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda text: None,
) -> ClassifyBench:
    """Train and test every baseline and ours.

    Args:
        data: the same for all.
        ours: trains the challenger.
        seeds: of training, from 0 on; a method without randomness is trained once.
        baselines: to compare with; those that need prompts are left out where there are none.
        ablations: ours with parts taken away, by what the tables call it.
        tell: what is told of each method when it is done.
    """
    methods: dict[str, MethodResult] = {}
    for baseline in baselines:
        if data.prompts is None and baseline.needs_prompts:
            continue
        methods[baseline.name] = _baseline_result(data, baseline, seeds)
        tell(_line(baseline.name, methods[baseline.name]))
    for name, challenger in {OURS: ours, **ablations}.items():
        methods[name] = _ours_result(data, challenger, seeds)
        tell(_line(name, methods[name]))
    return ClassifyBench(
        dataset=data.name,
        encoder=data.encoder,
        encoder_identity=data.encoder_identity,
        rows={
            "train": len(data.ids),
            "further_views": len(data.train) - len(data.ids),
            "val": 0 if data.validation is None else len(data.validation),
            "test": len(data.test),
            "left_out": data.left_out,
        },
        classes=len(data.classes),
        seeds=seeds,
        methods=methods,
    )


def _baseline_result(data: ClassifyData, baseline: Baseline[Any], seeds: int) -> MethodResult:
    started = time.perf_counter()
    tuned = tune(baseline, data.train, data.validation, data.prompts, data.counts, seed=0)
    choosing = time.perf_counter() - started
    found, times = [], []
    for seed in range(seeds if baseline.random else 1):
        started = time.perf_counter()
        predict = baseline.fit(data.train, data.prompts, data.counts, tuned.setting, seed)
        found.append(softened(predict(data.test.queries), tuned.temperature))
        times.append(time.perf_counter() - started)
    return _result(data, found, choosing + float(np.mean(times)), asdict(tuned.setting))


def _ours_result(data: ClassifyData, ours: Challenger, seeds: int) -> MethodResult:
    found, times, settings = [], [], []
    for seed in range(seeds):
        started = time.perf_counter()
        fitted = ours(data, seed)
        found.append(fitted.probabilities(data.test.queries).astype(np.float64))
        times.append(time.perf_counter() - started)
        settings.append(dict(fitted.setting))
    return _result(data, found, float(np.mean(times)), settings[0])


def _result(
    data: ClassifyData,
    probabilities: list[npt.NDArray[np.float64]],
    seconds: float,
    setting: dict[str, Scalar],
) -> MethodResult:
    said = SeededPredictions.of(probabilities)
    figures = seed_figures(data.test.classes, said, data.counts)
    return MethodResult(
        **figures.values,
        seconds=round(seconds, 2),
        setting=setting,
        intervals=dict(figures.intervals),
    )


def _line(name: str, result: MethodResult) -> str:
    return f"{name}: macro {result.macro:.3f}, {result.seconds:.1f} s"
