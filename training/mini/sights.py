"""Where texts and photos meet: not in what words mean, but in what things look like.

ConSE (Norouzi et al. 2014) lets the classifier say names of a photo and compares what they mean
with what a text means. Here the question is turned round: a text is asked what the classifier would
say of a photo of it, and that is compared with what it says of this one. Photos need no second
step then, which one hidden layer could not take; words do, and the text tower has layers for it.

A *sight* has two parts: the square roots of the probabilities of the 1,000 classes, whose inner
products say how much two distributions have in common (Bhattacharyya), and whitened features, in
which drawings are told apart (Fisher's discriminants). Sights of texts are turned to their main
axes, and photos are seen along axes of their own, so that the product of both is what it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.mini.lines import Lines
from training.mini.space import SIGHT_DIM, unit
from training.mini.trunk import Floats

#: Weight of the whitened features beside the classes.
DRAWN = 0.3
# How much louder the whitened features are in a text, and softer in a photo. Products stay the
# same, but the main axes of texts then keep what only drawings show: letters, signs, instruments.
_LOUDER = 2.5
# Weight of a class for being named alike, beside looking alike.
_NAMED = 0.1
_BLOCK = 8192


@dataclass(frozen=True)
class Sights:
    """Places meanings where photos of them would lie.

    Attributes:
        names: ``(1000, 240)`` meanings of the classes.
        classes: What words look like to the classifier.
        drawings: What words look like when drawn.
        mean: ``(2280,)``, of the sights of texts: what nearly every text has says nothing.
        axes: ``(2280, 240)``, along which texts lie.
        photo_axes: ``(2280, 240)``, along which photos are seen.
    """

    names: Floats
    classes: Lines
    drawings: Lines
    mean: Floats
    axes: Floats
    photo_axes: Floats

    @classmethod
    def fit(cls, names: Floats, classes: Lines, drawings: Lines, meanings: Floats) -> Sights:
        """Turn to the main axes of the sights of texts with meanings ``(N, 240)``."""
        size = classes.looks.shape[1] + drawings.looks.shape[1]
        total, products = np.zeros(size), np.zeros((size, size))
        for start in range(0, len(meanings), _BLOCK):
            seen = _seen(meanings[start : start + _BLOCK], names, classes, drawings)
            total += seen.sum(axis=0)
            products += seen.T @ seen
        mean = total / len(meanings)
        loud = np.where(np.arange(size) < classes.looks.shape[1], 1.0, _LOUDER)[:, None]
        spread = products / len(meanings) - np.outer(mean, mean)
        _, vectors = np.linalg.eigh(loud * spread * loud.T)
        main = vectors[:, ::-1][:, :SIGHT_DIM]
        axes, photo_axes = (loud * main).astype(np.float32), (main / loud).astype(np.float32)
        return cls(names, classes, drawings, mean.astype(np.float32), axes, photo_axes)

    def of_meanings(self, meanings: Floats) -> Floats:
        """Map meanings ``(N, 240)`` to unit vectors ``(N, 240)``."""
        blocks = []
        for start in range(0, len(meanings), _BLOCK):
            block = meanings[start : start + _BLOCK]
            seen = _seen(block, self.names, self.classes, self.drawings)
            blocks.append((seen - self.mean) @ self.axes)
        return unit(np.concatenate(blocks))


def _seen(meanings: Floats, names: Floats, classes: Lines, drawings: Lines) -> Floats:
    """Sights ``(N, 2280)`` before they are turned; arguments are those of `Sights`."""
    by_class = classes.expected(meanings) + _NAMED * meanings @ names.T
    return np.concatenate([by_class, DRAWN * drawings.expected(meanings)], axis=1)
