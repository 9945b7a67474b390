"""Further views of training images: which rows have them, and where they are and are not used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rac.encoders.views import VIEWS
from rac.tables import open_table
from retrieval_index import EvenedMetric
from tests.toy import ToyEncoder, write_toy_images
from training.crossfit import LabelledFeatures, Views, cross_fit
from training.views import embed_views, rows_of_small_classes


def test_only_small_classes_are_looked_at_again() -> None:
    labels = ["a"] * 3 + ["b"] + ["c"] * 2
    assert rows_of_small_classes(labels, 2).tolist() == [3, 4, 5]
    assert rows_of_small_classes(labels, 0).tolist() == []


def test_every_view_of_every_good_image_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    names = write_toy_images(tmp_path, ["red", "green", "blue"])
    (tmp_path / names[2]).write_bytes(b"no image")
    lines = [f"{number},{name}" for number, name in enumerate(names)]
    (tmp_path / "items.csv").write_text("\n".join(["id,image", *lines]) + "\n")
    table = open_table(str(tmp_path / "items.csv"))
    items = [item for batch in table.batches() for item in table.items(batch)]
    encoder = ToyEncoder()
    found = embed_views(items, np.array([1, 2]), table.base, encoder, space="trunk")
    assert found is not None
    assert found.rows.tolist() == [1] * len(VIEWS)
    assert found.vectors.shape == (len(VIEWS), encoder.trunk_dim)
    nothing = np.zeros(0, np.int64)
    assert embed_views(items, nothing, table.base, encoder, space="trunk") is None


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
