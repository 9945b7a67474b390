"""The joint space: what a text's embedding ought to be.

A unit vector with three parts. *Sight*: what a thing of that name looks like (`Sights`), found by
what the name means: the sentence encoder's embedding, centred on the nouns' mean and turned to
their main axes; sentence encoders put all texts into a narrow cone, and without the centring every
name means the same. *Colour* and *pattern*: one axis for each basic word, because sentence encoders
tell colours apart poorly. The rest of the dimensions stay empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.mini.colours import COLOURS, PATTERNS
from training.mini.trunk import Floats

#: Twice this many hidden units are what open_clip gives a head: one for each class, one for each
#: axis of sight, and some for the looks.
EMBED_DIM = 704
MEANING_DIM = 240
SIGHT_DIM = 240
COLOUR_AXES = slice(SIGHT_DIM, SIGHT_DIM + len(COLOURS))
PATTERN_AXES = slice(COLOUR_AXES.stop, COLOUR_AXES.stop + len(PATTERNS))


def unit(vectors: npt.NDArray[np.floating[Any]]) -> Floats:
    """Scale rows ``(..., D)`` to length 1; zero rows stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), dtype=np.float32)


def one_of(count: int, chosen: int) -> Floats:
    """Return the unit vector ``(count,)`` that points to one of the words, away from the rest.

    >>> code = one_of(4, 1)
    >>> round(float(code.sum()), 6), int(code.argmax())
    (0.0, 1)
    """
    code = np.full(count, -1.0 / count, dtype=np.float32)
    code[chosen] += 1.0
    return unit(code)


@dataclass(frozen=True)
class MeaningSpace:
    """Maps sentence embeddings to meanings.

    Attributes:
        mean: ``(384,)``, of the nouns' sentence embeddings.
        axes: ``(384, 240)``, their main axes.
    """

    mean: Floats
    axes: Floats

    @classmethod
    def fit(cls, sentences: Floats) -> MeaningSpace:
        """Centre on and turn to the main axes of sentence embeddings ``(N, 384)``."""
        mean = sentences.mean(0)
        _, _, rows = np.linalg.svd(np.cov((sentences - mean).T), hermitian=True)
        return cls(mean=mean.astype(np.float32), axes=rows[:MEANING_DIM].T.astype(np.float32))

    def meaning(self, sentences: Floats) -> Floats:
        """Map sentence embeddings ``(N, 384)`` to unit vectors ``(N, 240)``."""
        return unit(np.asarray((sentences - self.mean) @ self.axes, dtype=np.float32))


def join_axes(sight: Floats, colour: Floats, pattern: Floats) -> Floats:
    """Join ``(N, 240)``, ``(N, 11)`` and ``(N, 4)`` to unit vectors ``(N, 704)``."""
    joined = np.zeros((len(sight), EMBED_DIM), dtype=np.float32)
    joined[:, :SIGHT_DIM] = sight
    joined[:, COLOUR_AXES] = colour
    joined[:, PATTERN_AXES] = pattern
    return unit(joined)
