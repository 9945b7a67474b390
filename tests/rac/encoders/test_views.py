"""Other views of an image: what they show, and that the cache tells them apart."""

from __future__ import annotations

import numpy as np
import pytest

from rac.encoders.views import VIEWS, ViewEncoder
from tests.toy import ToyEncoder


def test_each_view_shows_what_its_name_says() -> None:
    pixels = np.zeros((100, 140, 3), np.uint8)
    pixels[:, :70] = 200
    assert (VIEWS["mirrored"](pixels) == pixels[:, ::-1]).all()
    closer = VIEWS["closer"](pixels)
    assert closer.shape == (80, 112, 3)
    assert (closer == pixels[10:90, 14:126]).all()
    # Turned about its middle and cut: no corner from outside the picture is left.
    bright = np.full((60, 90, 3), 255, np.uint8)
    turned = VIEWS["turned"](bright)
    assert turned.shape[0] == turned.shape[1]
    assert (turned == 255).all()
    slanted = VIEWS["turned"](pixels)
    assert (slanted[0] != slanted[-1]).any()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (3, 2, 3)])
def test_the_smallest_pictures_have_views_too(view: str, shape: tuple[int, int, int]) -> None:
    seen = VIEWS[view](np.full(shape, 7, np.uint8))
    assert seen.ndim == 3
    assert min(seen.shape) >= 1


def test_a_view_is_an_encoder_of_its_own() -> None:
    encoder = ToyEncoder()
    views = [ViewEncoder(encoder, name) for name in VIEWS]
    assert len({encoder.identity, *(view.identity for view in views)}) == 1 + len(VIEWS)
    assert views[0].identity == ViewEncoder(ToyEncoder(), "mirrored").identity
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    seen = views[0].preprocess(pixels)
    expected = encoder.preprocess(np.ascontiguousarray(pixels[:, ::-1]))
    assert (seen == expected).all()
    mine, theirs = views[0].encode_images(seen[None]), encoder.encode_images(expected[None])
    np.testing.assert_allclose(mine.embedding, theirs.embedding, atol=1e-6)
    np.testing.assert_array_equal(mine.trunk, theirs.trunk)
    texts = views[0].encode_texts(["red"]), encoder.encode_texts(["red"])
    np.testing.assert_allclose(*texts, atol=1e-6)
    with pytest.raises(KeyError):
        ViewEncoder(encoder, "from behind")
