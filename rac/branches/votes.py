"""Class-balanced votes: the labels of the neighbours, weighed by similarity and by rarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

#: Share of the vote spread evenly over all classes, so that no class is ever impossible.
SMOOTHING = 1e-3


def class_balanced_votes(
    scores: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    *,
    temperature: float,
    gamma: float,
    smoothing: float = SMOOTHING,
) -> Floats:
    """Turn the neighbours of each query into log shares of the vote for each class.

    Neighbour ``j`` of a query weighs ``exp(s_j / temperature)``. The weights are summed for each
    class and divided by ``count ** gamma``, which takes back the advantage that a class has from
    merely owning more rows. The sums are made to add to one, then ``smoothing`` of the whole is
    spread evenly, which is the floor of the logarithm. A query without a neighbour (an empty
    memory, or rows without labels) gets the even share everywhere: it says nothing.

    Args:
        scores: ``(Q, K)`` similarities, any range; entries without a neighbour are ignored.
        classes: ``(Q, K)`` class index of each neighbour in ``[0, C)``; -1 where there is none or
            where it has no label.
        counts: ``(C,)`` rows of each class in the memory, >= 0. A class with none counts as one.
        temperature: > 0, in the unit of the scores; small listens to the nearest alone.
        gamma: >= 0; 0 leaves the votes as they are, 1 balances the classes entirely.
        smoothing: in (0, 1), the share of the vote that is spread evenly.

    Returns:
        ``(Q, C)`` float32 natural logarithms; each row's exponentials add to one.

    Raises:
        ValueError: If the shapes do not fit, a parameter is out of its range, or a class index
            is not below ``C``.

    Two neighbours, equally near; class 0 owns four rows, class 1 one, and ``gamma`` 1 divides the
    votes by that: 1/4 to 1, thus shares 0.2 and 0.8.

    >>> import numpy as np
    >>> near = np.array([[0.5, 0.5]])
    >>> votes = class_balanced_votes(
    ...     near, np.array([[0, 1]]), np.array([4, 1]), temperature=0.1, gamma=1.0, smoothing=1e-9
    ... )
    >>> np.exp(votes).round(3)
    array([[0.2, 0.8]], dtype=float32)
    """
    scores = np.asarray(scores, dtype=np.float64)
    classes = np.asarray(classes, dtype=np.int64)
    counts = np.asarray(counts, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != classes.shape:
        raise ValueError(
            f"scores {scores.shape} and classes {classes.shape} must both be (queries, neighbours)"
        )
    if counts.ndim != 1 or not counts.size:
        raise ValueError(f"counts must be (classes,) with at least one class, got {counts.shape}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, got {gamma}")
    if not 0 < smoothing < 1:
        raise ValueError(f"smoothing must lie between 0 and 1, got {smoothing}")
    if classes.size and classes.max() >= counts.size:
        raise ValueError(f"class {classes.max()} is not one of the {counts.size} that have counts")

    queries, amount = len(scores), counts.size
    even = np.full((queries, amount), 1.0 / amount)
    if not scores.size:
        return np.asarray(np.log(even), dtype=np.float32)
    heard = (classes >= 0) & np.isfinite(scores)
    # Subtracting the largest score changes no share and keeps the exponential in range.
    masked = np.where(heard, scores, -np.inf)
    largest = masked.max(axis=1, keepdims=True)
    shifted = masked - np.where(np.isfinite(largest), largest, 0.0)
    weights = np.exp(shifted / temperature)
    cells = np.arange(queries)[:, None] * amount + np.where(heard, classes, 0)
    sums = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=queries * amount)
    votes = sums.reshape(queries, amount) / np.maximum(counts, 1.0) ** gamma
    total = votes.sum(axis=1, keepdims=True)
    shares = np.divide(votes, total, out=even.copy(), where=total > 0)
    return np.asarray(np.log((1 - smoothing) * shares + smoothing / amount), dtype=np.float32)
