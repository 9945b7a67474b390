"""Scores from prompts alone: how much an image looks like each value's words.

Letters of shapes: N images, D embedding dimensions, V values of all attributes together, C values
of one attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import Vocabulary
from rac.encoders.base import Encoder, FloatArray
from rac.zero_shot import centred_scores

SCALE_SHARE = 0.5
"""How much of the encoder's own logit scale is believed where no known cell can check it. The
scale was trained to tell an image's caption from thousands of unrelated ones, and is overconfident
among the few, related values of one attribute."""

PROBABILITY_FLOOR = 0.9
"""Where nothing is known, no cell is filled below this probability, whatever the target."""


@dataclass(frozen=True)
class PromptBank:
    """The prompts of all attributes, encoded once.

    Attributes:
        vectors: (V, D) float32 unit norm, the attributes' values one after the other.
        places: for each attribute, which of the V are its own.
        logit_scale: the encoder's factor on cosines.
    """

    vectors: FloatArray
    places: Mapping[str, slice]
    logit_scale: float

    @classmethod
    def encode(cls, vocabularies: Mapping[str, Vocabulary], encoder: Encoder) -> PromptBank:
        """Encode every value of every attribute, ensembled over its templates and synonyms.

        Args:
            vocabularies: by the attribute's name.
            encoder: whose text tower reads the prompts.
        """
        parts = [np.zeros((0, encoder.embedding_dim), np.float32)]
        places: dict[str, slice] = {}
        start = 0
        for name, vocabulary in vocabularies.items():
            words = [value.words for value in vocabulary.values]
            if words:
                parts.append(encoder.encode_prompts(words, vocabulary.attribute.templates))
            places[name] = slice(start, start + len(words))
            start += len(words)
        return cls(np.concatenate(parts), places, encoder.logit_scale)

    def scores(self, embedding: FloatArray, centre: FloatArray) -> FloatArray:
        """Score N images against all V values in one matrix product.

        What a prompt shares with every image is taken off; see
        :func:`rac.zero_shot.centred_scores`.

        Args:
            embedding: (N, D) unit norm.
            centre: (D,) mean embedding of the job's images; zeros for plain cosines.

        Returns:
            (N, V) float32, cosines about their means, in [-2, 2].
        """
        return centred_scores(embedding, self.vectors, centre)


def zero_shot_probabilities(scores: FloatArray, logit_scale: float) -> npt.NDArray[np.float64]:
    """Turn one attribute's (N, C) scores into probabilities, on the cautious side.

    >>> zero_shot_probabilities(np.array([[0.2, 0.1]], np.float32), 20.0).round(3)
    array([[0.731, 0.269]])
    """
    logits = scores.astype(np.float64) * (logit_scale * SCALE_SHARE)
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
