"""The focal loss: rows that are answered well already count for less."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.softmax import cross_entropy


def focal(logits: Tensor, targets: Tensor, counts: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy times the missing probability of the target, to a power.

    Lin et al., Focal loss for dense object detection, ICCV 2017, equation 4, over a softmax:
    ``-(1 - p)^gamma * log(p)`` with ``p`` the target's probability. The paper's class weights
    (its alpha) are a matter of :func:`training.losses.class_balanced_weights`.

    Args:
        logits: ``(N, C)``.
        targets: ``(N,)`` int64 in ``[0, C)``.
        counts: ``(C,)`` training rows of each class; not used, so that losses are exchangeable.
        gamma: how much less sure rows count for, >= 0; 0 leaves plain cross-entropy.

    Returns:
        ``(N,)`` losses in nats.

    Two equal logits: half of the probability is missing, so a quarter of ``log(2)`` is left.

    >>> focal(torch.zeros(1, 2), torch.tensor([0]), torch.ones(2)) / torch.tensor(2.0).log()
    tensor([0.2500])
    """
    losses = cross_entropy(logits, targets, counts)
    # Of a row whose probability rounds to 1 nothing is missing, and a power below 1 has no slope
    # there: held above zero, its gradient is 0 and not 0 times infinity.
    missing = (-torch.expm1(-losses)).clamp(min=torch.finfo(logits.dtype).tiny)
    return missing**gamma * losses
