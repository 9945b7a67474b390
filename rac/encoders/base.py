"""What every encoder does, and the three methods that a new one writes.

Letters of shapes: N images or texts, C classes, D dimensions of the joint space, T dimensions of
the trunk features, H x W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.errors import InputError
from rac.images import Pixels
from retrieval_index.arrays import unit_norm

__all__ = [
    "DEFAULT_TEMPLATES",
    "Encoder",
    "FloatArray",
    "ImageFeatures",
    "check_templates",
]

FloatArray = npt.NDArray[np.float32]

DEFAULT_TEMPLATES = (
    "a photo of a {}.",
    "a photo of {}.",
    "a picture of a {}.",
    "a close-up photo of a {}.",
    "a drawing of a {}.",
    "{}.",
)
"""Prompts that fit most catalogues: a class name is put in the place of the braces."""

_TEXT_BATCH = 256


@dataclass(frozen=True)
class ImageFeatures:
    """What one forward pass gives for N images.

    Attributes:
        embedding: (N, D) float32, unit norm, comparable with text embeddings.
        trunk: (N, T) float32, pooled features before the joint projection, as the network gives
            them (not normalised). Equal to the unnormalised embedding where a network has no
            separate trunk.
    """

    embedding: FloatArray
    trunk: FloatArray


class Encoder(ABC):
    """Images and texts to a joint space.

    A new encoder sets the attributes and writes :meth:`preprocess`, :meth:`_forward_images` and
    :meth:`_forward_texts`; batching, normalisation, checks and prompt ensembles live here.
    :meth:`preprocess` is called from several threads at once, :meth:`encode_images` from one at a
    time.

    Attributes:
        name: what a user writes to get this encoder.
        identity: hexadecimal hash over weights, preprocessing, normalisation and decoding rules.
            Everything computed with an encoder carries it.
        embedding_dim: D.
        trunk_dim: T.
        image_size: (height, width) in pixels of what :meth:`preprocess` gives.
        logit_scale: the factor on cosines that the encoder was trained with (its inverse
            temperature).
    """

    name: str
    identity: str
    embedding_dim: int
    trunk_dim: int
    image_size: tuple[int, int]
    logit_scale: float

    @property
    def runtime(self) -> str | None:
        """What runs the network, for the records of a job; None before it has run."""
        return "its own"

    @abstractmethod
    def preprocess(self, pixels: Pixels) -> Pixels:
        """Resize and crop an upright RGB image (h, w, 3) uint8 to (3, H, W) uint8."""

    @abstractmethod
    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        """Give the unnormalised embeddings (N, D) and the trunk features (N, T) of (N, 3, H, W)."""

    @abstractmethod
    def _forward_texts(self, texts: list[str]) -> FloatArray:
        """Give the unnormalised embeddings (N, D) of at most a batch of texts."""

    @property
    def decode_target(self) -> int:
        """The shorter side in pixels that decoding must keep, so that resizing loses nothing."""
        return 2 * max(self.image_size)

    def encode_images(self, pixels: Pixels) -> ImageFeatures:
        """Encode preprocessed images in one forward pass.

        Args:
            pixels: (N, 3, H, W) uint8 from :meth:`preprocess`; N may be 0.

        Raises:
            ValueError: the shape or the type is not what this encoder reads.
        """
        height, width = self.image_size
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (3, height, width):
            raise ValueError(
                f"encoder '{self.name}' reads (N, 3, {height}, {width}) of uint8, "
                f"not {pixels.shape} of {pixels.dtype}"
            )
        if len(pixels) == 0:
            return ImageFeatures(
                np.zeros((0, self.embedding_dim), np.float32),
                np.zeros((0, self.trunk_dim), np.float32),
            )
        embedding, trunk = self._forward_images(pixels)
        return ImageFeatures(unit_norm(embedding), trunk.astype(np.float32, copy=False))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode texts; (N, D) float32 of unit norm."""
        if len(texts) == 0:
            return np.zeros((0, self.embedding_dim), np.float32)
        parts = [
            self._forward_texts(list(texts[start : start + _TEXT_BATCH]))
            for start in range(0, len(texts), _TEXT_BATCH)
        ]
        return unit_norm(np.concatenate(parts))

    def encode_prompts(
        self,
        names: Sequence[str | Sequence[str]],
        templates: Sequence[str] = DEFAULT_TEMPLATES,
    ) -> FloatArray:
        """Encode class names as the mean over their prompts (prompt ensembling).

        Source: Radford et al. 2021 (CLIP), section 3.1.4: the embeddings of all prompts of a class
        are normalised, averaged, and normalised again.

        Args:
            names: C classes; each a name, or several names that mean the same.
            templates: prompts with ``{}`` in the place of the name.

        Returns:
            (C, D) float32 of unit norm.

        Raises:
            InputError: see :func:`check_templates`.
            ValueError: a class without a name.
        """
        check_templates(templates)
        prompts: list[str] = []
        owners: list[int] = []
        for index, entry in enumerate(names):
            synonyms = [entry] if isinstance(entry, str) else list(entry)
            if not synonyms:
                raise ValueError(f"class number {index} has no name")
            for synonym in synonyms:
                prompts += [template.replace("{}", synonym) for template in templates]
                owners += [index] * len(templates)
        embeddings = self.encode_texts(prompts)
        sums = np.zeros((len(names), self.embedding_dim), np.float32)
        np.add.at(sums, np.asarray(owners, np.int64), embeddings)
        return unit_norm(sums)


def check_templates(templates: Sequence[str]) -> None:
    """Refuse prompt templates that no class name can be put into.

    Raises:
        InputError: there is none, or one has no ``{}``.
    """
    if not templates:
        raise InputError("at least one prompt template is needed")
    for template in templates:
        if "{}" not in template:
            raise InputError(f"prompt template {template!r} has no {{}} for the class name")
