"""Every metric by its name: what a manifest or a command line may ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from retrieval_index.errors import MemoryFault
from retrieval_index.evened import EvenedMetric
from retrieval_index.metric import CosineMetric, Metric, WhitenedMetric

METRICS: dict[str, type[Metric]] = {m.name: m for m in (CosineMetric, WhitenedMetric, EvenedMetric)}


def fit_metric(
    metric: str | Metric, vectors: npt.ArrayLike, labels: Sequence[str | None]
) -> Metric:
    """Fit a metric by its name; one that is fitted already is given back.

    Raises:
        MemoryFault: no metric has that name.
    """
    if isinstance(metric, Metric):
        return metric
    return metric_named(metric).fit(vectors, labels)


def metric_named(name: str) -> type[Metric]:
    """Give the class of a metric.

    Raises:
        MemoryFault: no metric has that name.

    >>> metric_named("cosine").__name__
    'CosineMetric'
    """
    try:
        return METRICS[name]
    except KeyError:
        raise MemoryFault(
            f"no metric is called {name!r}; there are: {', '.join(METRICS)}"
        ) from None


def require_storable(metric: Metric) -> None:
    """Refuse a metric that could not be read back by its name.

    Raises:
        MemoryFault: names those that can be stored.
    """
    if METRICS.get(metric.name) is not type(metric):
        raise MemoryFault(
            f"a {type(metric).__name__} cannot be stored in a folder; "
            f"those that can: {', '.join(METRICS)}"
        )
