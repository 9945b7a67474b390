"""Other views of an image through the same encoder: what the same thing might have looked like.

Of a class with few images, more views of each are the cheapest further images. A view is an encoder
of its own, with an identity of its own, so that the cache keeps what it gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from rac.encoders.base import Encoder, FloatArray
from rac.images import Pixels

#: Side of the middle that stays when a picture is turned: as large as it can be without corners.
_TURN_DEGREES = 12.0
_TURNED_SHARE = 0.84
_CLOSER_SHARE = 0.8


def _middle(pixels: Pixels, share: float) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = (round(side * (1 - share) / 2) for side in (height, width))
    return pixels[top : max(height - top, top + 1), left : max(width - left, left + 1)]


def _mirrored(pixels: Pixels) -> Pixels:
    return pixels[:, ::-1]


def _closer(pixels: Pixels) -> Pixels:
    return _middle(pixels, _CLOSER_SHARE)


def _turned(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    turned = square.rotate(_TURN_DEGREES, resample=Image.Resampling.BICUBIC)
    return _middle(np.asarray(turned), _TURNED_SHARE)


VIEWS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": _mirrored,
    "closer": _closer,
    "turned": _turned,
}
"""From (h, w, 3) uint8 to (h', w', 3) uint8, by name."""


class ViewEncoder(Encoder):
    """An encoder that sees another view of every image; texts are as they were."""

    def __init__(self, encoder: Encoder, view: str) -> None:
        """Take an encoder and the name of one of ``VIEWS``.

        Raises:
            KeyError: there is no such view.
        """
        self._encoder = encoder
        self._view = VIEWS[view]
        self.name = f"{encoder.name} ({view})"
        self.identity = hashlib.sha256(f"{encoder.identity} {view} 1".encode()).hexdigest()
        self.embedding_dim = encoder.embedding_dim
        self.trunk_dim = encoder.trunk_dim
        self.image_size = encoder.image_size
        self.logit_scale = encoder.logit_scale

    @property
    def runtime(self) -> str | None:
        """As the encoder's."""
        return self._encoder.runtime

    @property
    def decode_target(self) -> int:
        """As the encoder's."""
        return self._encoder.decode_target

    def preprocess(self, pixels: Pixels) -> Pixels:
        """Take the view, then the encoder's own steps."""
        return self._encoder.preprocess(np.ascontiguousarray(self._view(pixels)))

    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        features = self._encoder.encode_images(pixels)
        return features.embedding, features.trunk

    def _forward_texts(self, texts: list[str]) -> FloatArray:
        return self._encoder.encode_texts(texts)
