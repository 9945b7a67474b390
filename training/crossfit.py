"""Features as the heads see them: one metric for all rows, and one for each fold without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.image_sets import ImageSet, image_set
from rac.errors import InputError
from rac.text_vectors import TextVectors
from retrieval_index.evened import SHRINKAGE, EvenedMetric
from training.folds import Floats, Integers, findable_folds


@dataclass(frozen=True)
class Views:
    """Features of further views of some rows' images.

    Attributes:
        vectors: ``(M, D)`` float32 raw features.
        rows: ``(M,)`` the row that each is a view of.
    """

    vectors: Floats
    rows: Integers


@dataclass(frozen=True)
class LabelledFeatures:
    """Rows with features and what is known of them.

    Attributes:
        vectors: ``(N, D)`` float32 raw features.
        labels: N class names.
        ids: N unique ids.
        texts: N snippets, None where there is none.
        sources: N references of images, None where there is none.
        hashes: N SHA-256 of the images' bytes, None where unknown.
        table: that they come from, as the user named it.
        images_from: the folder that relative references start from.
        views: further views of the rows' images; None where there are none.
        text_vectors: labels and ``texts`` as the text tower reads them; None for no text branch.
    """

    vectors: Floats
    labels: Sequence[str]
    ids: Sequence[str]
    texts: Sequence[str | None] | None = None
    sources: Sequence[str | None] | None = None
    hashes: Sequence[str | None] | None = None
    table: str | None = None
    images_from: str | None = None
    views: Views | None = None
    text_vectors: TextVectors | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "ids", "texts", "sources", "hashes"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.vectors):
                raise InputError(f"{len(self.vectors)} rows of features but {len(column)} {name}")

    def __len__(self) -> int:
        return len(self.vectors)

    def averaged(self) -> Floats:
        """Give ``(N, D)`` the mean features of each row's views, the row itself among them."""
        if self.views is None:
            return self.vectors
        sums = self.vectors.astype(np.float64)
        np.add.at(sums, self.views.rows, self.views.vectors)
        amounts = 1 + np.bincount(self.views.rows, minlength=len(self))
        return np.asarray(sums / amounts[:, None], dtype=np.float32)

    def joined(self, more: LabelledFeatures) -> LabelledFeatures:
        """Give these rows with others behind them; without vectors of texts."""

        def column(name: str) -> list[Any] | None:
            columns = (getattr(self, name), getattr(more, name))
            if columns == (None, None):
                return None
            sizes = (len(self), len(more))
            both = zip(columns, sizes, strict=True)
            return [cell for one, size in both for cell in one or [None] * size]

        return replace(
            self,
            vectors=np.concatenate([self.vectors, more.vectors]),
            labels=[*self.labels, *more.labels],
            ids=[*self.ids, *more.ids],
            texts=column("texts"),
            sources=column("sources"),
            hashes=column("hashes"),
            text_vectors=None,
        )

    def images(self) -> ImageSet | None:
        """Give the images by content, or by their table alone; None where neither is known."""
        found = image_set(self.hashes or (), self.table)
        return found if len(found) or self.table is not None else None


@dataclass(frozen=True)
class CrossFit:
    """Training rows under ``H = F + 1`` metrics; the first is fitted to all rows.

    Metric and head ``f + 1`` are fitted without fold ``f``. What they say about the rows of that
    fold is honest, also in the whitening: a metric that was fitted to a row has taken that row's
    own deviation from its class for noise, and thus finds it nearer to its class than it will find
    a new image.

    Attributes:
        rows: the training rows.
        names: the C classes, sorted.
        classes: ``(N,)`` class index of each row.
        folds: ``(N,)`` fold of each row.
        metrics: H fitted metrics.
        mapped: ``(H, N, D)`` float32 unit norm, the rows under each metric; of rows with several
            views, their mean.
        queries: ``(N, D)`` float32 unit norm, each row as a query that its own fold's metric and
            head have not seen: one view, as new images will come.
        member: ``(H, N)`` bool, the rows that each head may learn from.
        counts: ``(H, C)`` rows of each class among those.
    """

    rows: LabelledFeatures
    names: tuple[str, ...]
    classes: Integers
    folds: Integers
    metrics: tuple[EvenedMetric, ...]
    mapped: Floats
    queries: Floats
    member: npt.NDArray[np.bool_]
    counts: Integers

    @property
    def heads(self) -> int:
        """Give H."""
        return len(self.metrics)

    @property
    def findable(self) -> npt.NDArray[np.bool_]:
        """``(N,)`` whether a row's class has another row outside its fold.

        What is held out of a class that nobody else knows can be found by no one; such rows (the
        singletons) teach nothing about whom to trust.
        """
        known: npt.NDArray[np.bool_] = self.counts[self.folds + 1, self.classes] > 0
        return known

    def index(self, labels: Sequence[str]) -> Integers:
        """Class index of each label, -1 where it is no class of the training rows."""
        position = {name: number for number, name in enumerate(self.names)}
        return np.array([position.get(label, -1) for label in labels], dtype=np.int64)


def cross_fit(
    rows: LabelledFeatures,
    *,
    folds: int,
    near_duplicate: float,
    seed: int,
    power: float | None = None,
    shrinkage: float = SHRINKAGE,
) -> CrossFit:
    """Fit the metrics and map the rows.

    Args:
        rows: the training rows.
        folds: how many, at least 2.
        near_duplicate: see :func:`training.folds.assign_folds`.
        seed: see there.
        power: see :class:`retrieval_index.EvenedMetric`.
        shrinkage: see there.

    Raises:
        InputError: there are fewer than two classes.
    """
    names = tuple(sorted(set(rows.labels)))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise InputError(f"a classifier needs at least two classes; the training rows have {found}")
    position = {name: number for number, name in enumerate(names)}
    classes = np.array([position[label] for label in rows.labels], dtype=np.int64)
    fold = findable_folds(rows.vectors, classes, folds, near_duplicate=near_duplicate, seed=seed)
    member = np.stack([np.ones(len(rows), dtype=np.bool_), *(fold != f for f in range(folds))])
    metrics = [fit_metric(rows, head, power, shrinkage) for head in member]
    averaged = rows.averaged()
    queries = np.empty((len(rows), rows.vectors.shape[1]), dtype=np.float32)
    for number, metric in enumerate(metrics[1:]):
        queries[fold == number] = metric.apply(rows.vectors[fold == number])
    return CrossFit(
        rows=rows,
        names=names,
        classes=classes,
        folds=fold,
        metrics=tuple(metrics),
        mapped=np.stack([metric.apply(averaged) for metric in metrics]),
        queries=queries,
        member=member,
        counts=np.stack([np.bincount(classes[head], minlength=len(names)) for head in member]),
    )


def fit_metric(
    rows: LabelledFeatures, seen: npt.NDArray[np.bool_], power: float | None, shrinkage: float
) -> EvenedMetric:
    """Fit to every view of the rows seen: how views of an image differ tells no classes apart.

    Args:
        rows: with their views.
        seen: ``(N,)`` which of them.
        power: see :class:`retrieval_index.EvenedMetric`.
        shrinkage: see there.
    """
    vectors, owners = rows.vectors[seen], np.flatnonzero(seen)
    if rows.views is not None:
        among = seen[rows.views.rows]
        vectors = np.concatenate([vectors, rows.views.vectors[among]])
        owners = np.concatenate([owners, rows.views.rows[among]])
    labels = [rows.labels[int(row)] for row in owners]
    return EvenedMetric.fit(vectors, labels, power=power, shrinkage=shrinkage)
