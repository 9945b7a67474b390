"""Words whose look is known, and from them the look of any other word.

Three sources say what the classifier makes of a thing: the classes themselves; the kinds that
WordNet puts above them, which look like any of their classes; and the table of look-alikes. The
drawings say what they look like to the trunk itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval_index.within_class import class_means
from training.mini.labelled import Labelled
from training.mini.lookalikes import class_index, parse_look_alikes
from training.mini.meanings import Meanings
from training.mini.space import unit
from training.mini.trunk import CLASSES, Floats
from training.mini.wordnet import VISIBLE, Synset, ancestors

# A word looks like the lines that mean nearly the same: a line counts e times less for each so
# much of cosine that it is farther away.
_NEARNESS = 0.04
# Kinds of more classes than this ("thing", "whole") look like nothing.
_WIDEST_KIND = 500
# Names of fewer scenes than this say little of a look.
_FEWEST_SCENES = 3
# Share of the average variance that is added to each of a feature's, in Fisher's discriminants.
_SHRINKAGE = 0.3


@dataclass(frozen=True)
class Lines:
    """Words and what they look like.

    Attributes:
        words: ``(L, 240)`` unit vectors, their meanings.
        looks: ``(L, S)`` unit vectors.
    """

    words: Floats
    looks: Floats

    def expected(self, meaning: Floats) -> Floats:
        """Say what things of meanings ``(N, 240)`` look like.

        Returns:
            ``(N, S)``; as long as the cosine to the nearest word, so that what resembles no word
            has next to no look.
        """
        near = meaning @ self.words.T
        nearest = near.max(axis=1, keepdims=True)
        weight = np.exp((near - nearest) / _NEARNESS)
        return np.asarray(unit(weight @ self.looks) * nearest.clip(min=0.0), dtype=np.float32)


def class_lines(nouns: Mapping[str, Synset], classes: list[str], meanings: Meanings) -> Lines:
    """Say what classes, their kinds and the things of the table look like to the classifier.

    Args:
        nouns: Senses by key.
        classes: Keys of the classifier's 1,000 rows.
        meanings: Places the words.

    Returns:
        Lines with ``S`` of 1,000: square roots of shares, as an image's are of probabilities.
    """
    things, shares = parse_look_alikes(class_index(nouns, classes))
    below: dict[str, list[int]] = {}
    for row, key in enumerate(classes):
        for kind in ancestors(nouns, key):
            below.setdefault(kind, []).append(row)
    kinds = [
        kind
        for kind, rows in sorted(below.items())
        if nouns[kind].lexfile in VISIBLE and len(rows) <= _WIDEST_KIND
    ]
    any_of = np.zeros((len(kinds), CLASSES), dtype=np.float32)
    for place, kind in enumerate(kinds):
        any_of[place, below[kind]] = 1.0
    words = [meanings.of_names(things), meanings.of_synsets([*classes, *kinds])]
    looks = [np.sqrt(shares), np.eye(CLASSES, dtype=np.float32), any_of]
    return Lines(np.concatenate(words), unit(np.concatenate(looks)))


def whitening_of(data: Labelled) -> Floats:
    """Make features vary alike in all directions within a name: ``(1280, 1280)``, symmetric."""
    names, features = _unpainted(data)
    within = features - class_means(features, names, len(data.meanings))[names]
    spread = within.T @ within / len(within)
    spread += _SHRINKAGE * spread.trace() / len(spread) * np.eye(len(spread))
    values, axes = np.linalg.eigh(spread)
    return np.asarray((axes / np.sqrt(values)) @ axes.T, dtype=np.float32)


def drawn_lines(data: Labelled, whitening: Floats) -> Lines:
    """Say what drawn things look like: Fisher's discriminants of their names.

    Args:
        data: Scenes; painted ones are passed over.
        whitening: ``(1280, 1280)`` of `whitening_of`.

    Returns:
        Lines with ``S`` of 1,280, in whitened features.
    """
    names, features = _unpainted(data)
    count = len(data.meanings)
    often = np.bincount(names, minlength=count) >= _FEWEST_SCENES
    apart = class_means(features, names, count)[often] - features.mean(axis=0)
    return Lines(data.meanings.numpy()[often], unit(apart @ whitening))


def _unpainted(data: Labelled) -> tuple[npt.NDArray[np.int64], Floats]:
    return data.name[~data.tinted].numpy(), data.features[~data.tinted].numpy()
