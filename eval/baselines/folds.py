"""Folds that no image and no rare class is torn apart by."""

from __future__ import annotations

import numpy as np

from eval.arrays import Ints

ALWAYS_TRAIN = -1


def image_folds(classes: Ints, images: Ints, folds: int, seed: int) -> Ints:
    """Deal the images of each class to folds as evenly as can be.

    Args:
        classes: (N,) of the rows.
        images: (N,) number of the image that each row is a view of; its rows share a class.
        folds: at least 2.
        seed: of the dealing.

    Returns:
        (N,) fold of each row, in [0, folds); -1 for the rows of a class with a single image, which
        stay in training throughout.

    >>> image_folds(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 7]), folds=2, seed=0)
    array([ 0,  0,  1, -1])
    """
    draw = np.random.default_rng(seed)
    _, first, image_of = np.unique(images, return_index=True, return_inverse=True)
    image_class = classes[first]
    fold = np.full(len(first), ALWAYS_TRAIN, np.int64)
    dealt = 0
    for number in np.unique(image_class):
        members = np.flatnonzero(image_class == number)
        if len(members) == 1:
            continue
        draw.shuffle(members)
        # Going on where the class before stopped keeps the folds equally large.
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold[image_of]
