"""What the image head should say of trunk features: an analytic teacher that needs no training.

ConSE (Norouzi et al. 2014) places an image at the mean of the names of the ImageNet classes,
weighted by the classifier's probabilities. The teacher does so twice: over the 1,000 names, and
over the words of the table of look-alikes, weighted by how well their classes fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from training.mini.lookalikes import PLACES, class_index, parse_look_alikes
from training.mini.meanings import Meanings
from training.mini.space import unit
from training.mini.trunk import ImageNetClassifier
from training.mini.wordnet import Synset


@dataclass(frozen=True)
class Teacher:
    """Places features in the space of meanings.

    Attributes:
        weight: ``(1000, 1280)`` of the classifier, and ``bias`` ``(1000,)``.
        places: Rows of classes that say where a picture was taken.
        names: ``(1000, 240)`` meanings of the classes.
        looks: ``(M, 1000)`` square roots of the look-alike shares, unit norm.
        words: ``(M, 240)`` meanings of the words of the table.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    places: torch.Tensor
    names: torch.Tensor
    looks: torch.Tensor
    words: torch.Tensor

    @classmethod
    def build(
        cls,
        classifier: ImageNetClassifier,
        nouns: Mapping[str, Synset],
        classes: list[str],
        meanings: Meanings,
    ) -> Teacher:
        """Put the teacher together from the classifier and the words."""
        rows = class_index(nouns, classes)
        words, shares = parse_look_alikes(rows)
        return cls(
            weight=torch.from_numpy(classifier.weight),
            bias=torch.from_numpy(classifier.bias),
            places=torch.tensor([row for place in PLACES for row in rows[place]]),
            names=torch.from_numpy(meanings.of_synsets(classes)),
            looks=torch.from_numpy(unit(np.sqrt(shares))),
            words=torch.from_numpy(meanings.of_names(words)),
        )

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(N, 1280)`` features to ``(N, 240)`` unit vectors."""
        likely = functional.softmax(features @ self.weight.T + self.bias, dim=-1)
        by_name = functional.normalize(likely @ self.names, dim=-1)
        fit = functional.normalize(likely.sqrt(), dim=-1) @ self.looks.T
        by_look = functional.normalize(functional.softmax(fit / 0.04, dim=-1) @ self.words, dim=-1)
        return functional.normalize(by_name + by_look, dim=-1)
