"""The figures that people quote, with intervals, of several methods on the same rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eval.arrays import Bools, Floats, Ints
from eval.binomial import clopper_pearson_interval
from eval.bootstrap import Resampled, resample_accuracies, widened_interval
from eval.groups import GROUP_NAMES, Groups
from eval.metrics import harmonic_mean
from eval.schema import Difference, Figure, Headline, Settings

#: Figures that are means over a set of classes; the groups are absent where counts are unknown.
MACRO_NAMES = ("macro", *GROUP_NAMES)


class Headlines:
    """Figures of M methods, from one resampling of the rows, so that differences are paired.

    Args:
        labels: (N,) class indices in [0, C).
        classes: C.
        hits: for each method, (N,) whether it got the row right.
        groups: of the classes; None where training counts are unknown.
        settings: resamples, seed and confidence.
    """

    def __init__(
        self,
        labels: Ints,
        classes: int,
        hits: Mapping[str, Bools],
        groups: Groups | None,
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._support = np.bincount(labels, minlength=classes).astype(np.int64)
        self._hits = dict(hits)
        self._recall = {name: self._recalls(labels, hit) for name, hit in hits.items()}
        self._sets: dict[str, Bools] = {"macro": np.ones(classes, dtype=bool)}
        if groups is not None:
            self._sets.update({name: groups.members(name) for name in GROUP_NAMES})
        self._drawn: Resampled | None = None
        if len(labels):
            self._drawn = resample_accuracies(
                labels,
                np.stack(list(hits.values()), axis=1),
                np.stack(list(self._sets.values())),
                resamples=settings.resamples,
                seed=settings.seed,
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The figures that there are: top1, macro, the groups where known, and harmonic."""
        return ("top1", *self._sets, "harmonic")

    def of(self, method: str, top5: str | None = None) -> Headline:
        """All figures of a method; ``top5`` names the hits among five, if there are any."""
        figures = {name: self.figure(method, name) for name in self.names}
        return Headline(
            top1=figures["top1"],
            top5=None if top5 is None else self.figure(top5, "top1"),
            macro=figures["macro"],
            many=figures.get("many"),
            medium=figures.get("medium"),
            few=figures.get("few"),
            harmonic=figures["harmonic"],
            worst=self._worst(method),
        )

    def figure(self, method: str, name: str) -> Figure:
        """One figure of a method, by its name among :attr:`names`."""
        support = np.where(self._members(name), self._support, 0)
        rows, recall = int(support.sum()), self._recall[method][support > 0]
        value = self._value(method, name)
        low = high = kind = None
        if value is not None and (recall.min() == 1 or recall.max() == 0):
            # A bootstrap of rows that all have one outcome would say that it is certain.
            low, high = clopper_pearson_interval(
                rows if recall.min() == 1 else 0, rows, self._settings.confidence
            )
            kind = "exact"
        elif value is not None:
            low, high = self._interval(self._samples(method, name), value)
            kind = "bootstrap"
        return Figure.model_validate(
            {
                "value": value,
                "low": low,
                "high": high,
                "rows": rows,
                "classes": int(np.count_nonzero(support)),
                "interval": kind,
            }
        )

    def difference(self, method: str, over: str, name: str) -> Difference | None:
        """A figure of one method minus that of another; None where there is no such figure."""
        if name not in self.names:
            return None
        first, second = self._value(method, name), self._value(over, name)
        if first is None or second is None:
            return Difference(value=None, low=None, high=None)
        samples = self._samples(method, name) - self._samples(over, name)
        low, high = self._interval(samples, first - second)
        return Difference(value=first - second, low=low, high=high)

    def _interval(self, samples: Floats, value: float) -> tuple[float | None, float | None]:
        return widened_interval(samples, value, self._settings.confidence) or (None, None)

    def _recalls(self, labels: Ints, hit: Bools) -> Floats:
        right = np.bincount(labels[hit], minlength=len(self._support))
        recall = np.full(len(self._support), np.nan)
        np.divide(right, self._support, out=recall, where=self._support > 0)
        return recall

    def _members(self, name: str) -> Bools:
        return self._sets.get(name, self._sets["macro"])

    def _value(self, method: str, name: str) -> float | None:
        recall = self._recall[method][self._members(name) & (self._support > 0)]
        if not recall.size:
            return None
        if name == "top1":
            return float(np.mean(self._hits[method]))
        return harmonic_mean(recall) if name == "harmonic" else float(np.mean(recall))

    def _samples(self, method: str, name: str) -> Floats:
        assert self._drawn is not None  # noqa: S101  there is a value, so there are rows
        column = list(self._hits).index(method)
        if name == "top1":
            return self._drawn.share[:, column]
        if name == "harmonic":
            return self._drawn.harmonic[:, column]
        return self._drawn.macro[:, column, list(self._sets).index(name)]

    def _worst(self, method: str) -> Figure:
        """The lowest recall; its interval is exact, for the rows of the classes that have it.

        A bootstrap of a minimum is no interval for it: each resample has another, lower minimum.
        """
        recall = self._recall[method]
        if np.isnan(recall).all():
            return Figure(value=None, low=None, high=None, rows=0, classes=0, interval=None)
        lowest = float(np.nanmin(recall))
        rows = int(self._support[recall == lowest].sum())
        low, high = clopper_pearson_interval(round(lowest * rows), rows, self._settings.confidence)
        return Figure(
            value=lowest,
            low=low,
            high=high,
            rows=rows,
            classes=int(np.count_nonzero(recall == lowest)),
            interval="exact",
        )
