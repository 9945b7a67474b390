"""Scores that are spread over images, worked by hand and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from rac import spreading
from rac.encoders.base import FloatArray
from rac.spreading import spread_scores


def two_kinds(
    rng: np.random.Generator, images: int, noise: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Features of two kinds far apart, cosines that lean to the right name, and the kinds."""
    kind = np.arange(images) % 2
    features = np.eye(8, dtype=np.float32)[kind] + 0.1 * rng.normal(size=(images, 8))
    cosines = np.eye(2)[kind] * 0.1 + rng.normal(size=(images, 2)) * noise
    return cosines.astype(np.float32), features.astype(np.float32), kind


def by_loops(cosines: FloatArray, features: FloatArray, scale: float, k: int) -> FloatArray:
    """The same, image by image and with a dense matrix."""
    n, c = cosines.shape
    shares = np.stack([np.exp(scale * row) / np.exp(scale * row).sum() for row in cosines])
    evened = shares / ((shares.sum(0) + 1) / (n + c)) ** 0.25
    centred = features - features.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    mine = [set(np.argsort(-row)[:k].tolist()) for row in near]
    links = np.array(
        [
            [max(near[i, j], 0.0) ** 3 if j in mine[i] and i in mine[j] else 0.0 for j in range(n)]
            for i in range(n)
        ]
    )
    reach = np.maximum(links.sum(1), 1e-12)
    links = links / np.sqrt(np.outer(reach, reach))
    spread = evened
    for _ in range(30):
        spread = 0.05 * evened + 0.95 * links @ spread
    return np.asarray(spread / spread.sum(1, keepdims=True))


def test_it_is_what_plain_loops_give(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines, features, _ = two_kinds(np.random.default_rng(0), 30, 0.1)
    monkeypatch.setattr(spreading, "_BLOCK", 7)
    found = spread_scores(cosines, features, 20.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loops(cosines, features, 20.0, 15), atol=2e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


def test_images_that_look_alike_outvote_a_mistake() -> None:
    cosines, features, kind = two_kinds(np.random.default_rng(1), 200, 0.1)
    alone = float((cosines.argmax(1) == kind).mean())
    together = float((spread_scores(cosines, features, 20.0).argmax(1) == kind).mean())
    assert alone < 0.85
    assert together == 1.0


def test_a_name_that_attracts_everything_is_held_back() -> None:
    """The first name is 0.11 nearer to every image; without that each kind knows its own."""
    cosines, features, kind = two_kinds(np.random.default_rng(2), 200, 0.0)
    cosines[:, 0] += 0.11
    assert (cosines.argmax(1) == 0).all()
    assert (spread_scores(cosines, features, 20.0).argmax(1) == kind).mean() == 1.0


def test_too_few_images_are_left_as_they_are() -> None:
    cosines = np.array([[0.3, 0.2, 0.1], [0.1, 0.2, 0.1]], np.float32)
    found = spread_scores(cosines, np.eye(2, 8, dtype=np.float32), 20.0)
    powers = np.exp(20.0 * cosines)
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-5)


def test_an_image_like_no_other_keeps_its_own_scores() -> None:
    """Its shares are those of the evened scores, and no division by zero is met."""
    cosines, features, _ = two_kinds(np.random.default_rng(3), 9, 0.0)
    features[0] = 0.0
    features[0, 7] = 50.0
    found = spread_scores(cosines, features, 20.0)
    assert np.isfinite(found).all()
    assert found[0].argmax() == cosines[0].argmax()


def test_many_images_are_looked_up_in_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines, features, kind = two_kinds(np.random.default_rng(4), 1200, 0.1)
    exact = spread_scores(cosines, features, 20.0)
    built = []
    really = spreading.build_index

    def noted(*given: object, **named: object) -> object:
        built.append(really(*given, **named))  # type: ignore[arg-type]
        return built[-1]

    monkeypatch.setattr(spreading, "_EXACT_ROWS", 1000)
    monkeypatch.setattr(spreading, "build_index", noted)
    found = spread_scores(cosines, features, 20.0)
    assert built[0].recipe.indexed == 1200
    assert (found.argmax(1) == exact.argmax(1)).mean() > 0.99
    assert (found.argmax(1) == kind).mean() > 0.99
