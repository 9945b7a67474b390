"""Further views of training rows: where they are used, and where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retrieval_index import EvenedMetric
from training.crossfit import LabelledFeatures, Views, cross_fit


def with_views(rows: LabelledFeatures) -> LabelledFeatures:
    """Every other row has two views, a little off."""
    random = np.random.default_rng(5)
    owners = np.repeat(np.arange(0, len(rows), 2), 2)
    noise = random.normal(scale=0.1, size=(len(owners), rows.vectors.shape[1]))
    return replace(rows, views=Views((rows.vectors[owners] + noise).astype(np.float32), owners))


def test_a_row_is_the_mean_of_its_views(long_tail: tuple) -> None:
    rows = with_views(long_tail[0])
    averaged = rows.averaged()
    for row in range(len(rows)):
        seen = [rows.vectors[row], *rows.views.vectors[rows.views.rows == row]]
        np.testing.assert_allclose(averaged[row], np.mean(seen, axis=0), rtol=1e-5, atol=1e-6)


def test_queries_have_one_view_and_a_metric_that_saw_none_of_theirs(long_tail: tuple) -> None:
    rows = with_views(long_tail[0])
    fitted = cross_fit(rows, folds=3, near_duplicate=0.999, seed=0)
    for fold in range(3):
        kept = fitted.folds != fold
        among = kept[rows.views.rows]
        vectors = np.concatenate([rows.vectors[kept], rows.views.vectors[among]])
        labels = [rows.labels[row] for row in np.flatnonzero(kept)]
        labels += [rows.labels[row] for row in rows.views.rows[among]]
        metric = EvenedMetric.fit(vectors, labels)
        np.testing.assert_allclose(
            fitted.queries[~kept], metric.apply(rows.vectors[~kept]), atol=1e-5
        )
        np.testing.assert_allclose(
            fitted.mapped[fold + 1], metric.apply(rows.averaged()), atol=1e-5
        )
