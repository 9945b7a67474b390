"""Class weights by effective number, which go with every loss."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Reweighting = Literal["none", "class-balanced"]

#: However many its rows, a class covers at most what 1 / (1 - beta) = 10,000 rows without anything
#: in common do. Cui et al. and Cao et al. both use this value.
BETA = 0.9999


def class_balanced_weights(counts: Tensor, *, beta: float = BETA) -> Tensor:
    """Give each class the inverse of its effective number of rows.

    Cui et al., Class-balanced loss based on effective number of samples, CVPR 2019, equation 5:
    n rows cover as much as ``(1 - beta^n) / (1 - beta)`` rows that have nothing in common. As in
    the paper the weights are then scaled to a mean of 1, here over the classes that have a row;
    the others weigh 0.

    Args:
        counts: ``(C,)`` training rows of each class, at least one above zero.
        beta: in [0, 1); 0 weighs all classes alike, near 1 by the inverse of their counts.

    Returns:
        ``(C,)`` weights >= 0 in float32.

    Raises:
        ValueError: ``beta`` is not in [0, 1).

    With beta 1/2, one row covers 1 and two cover 1.5: weights of 3 to 2, and a mean of 1.

    >>> class_balanced_weights(torch.tensor([1, 2, 0]), beta=0.5)
    tensor([1.2000, 0.8000, 0.0000])
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be at least 0 and below 1, got {beta}")
    there = counts > 0
    rows = counts.clamp(min=1).double()
    # -expm1(n log(beta)) is 1 - beta^n without the cancellation; the factor 1 - beta goes with
    # the scaling.
    covered = -torch.expm1(rows * math.log(beta)) if beta else torch.ones_like(rows)
    weights = there / covered
    return (weights * there.sum() / weights.sum()).float()


def weighted_mean(losses: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Give the mean of the losses, each weighed by its target's class.

    Args:
        losses: ``(N,)`` in nats, N at least 1.
        targets: ``(N,)`` int64 in ``[0, C)``, each of a class that weighs more than 0.
        weights: ``(C,)`` >= 0; None for the plain mean.

    >>> losses, targets = torch.tensor([1.0, 4.0]), torch.tensor([0, 1])
    >>> weighted_mean(losses, targets, torch.tensor([2.0, 1.0]))
    tensor(2.)
    """
    if weights is None:
        return losses.mean()
    heard = weights.to(losses)[targets]
    return (heard * losses).sum() / heard.sum()
