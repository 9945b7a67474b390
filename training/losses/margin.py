"""Label-distribution-aware margins: rare classes are held further from the border."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as softmax_cross_entropy


def class_margins(counts: Tensor, largest: float) -> Tensor:
    """Give the ``(C,)`` margin of each class, in cosines.

    Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS
    2019, equation 13: proportional to ``n^(-1/4)``, and ``largest`` for the rarest class. A class
    without a row has the margin of a class with one; it is the target of none.

    Args:
        counts: ``(C,)`` training rows of each class, at least one above zero.
        largest: margin of the rarest class that has a row, >= 0.

    Sixteen rows and one: the first margin is half of the second.

    >>> class_margins(torch.tensor([16, 1]), 0.5)
    tensor([0.2500, 0.5000])
    """
    margins = counts.clamp(min=1).to(torch.get_default_dtype()) ** -0.25
    return largest * margins / margins[counts > 0].max()


def ldam(
    logits: Tensor,
    targets: Tensor,
    counts: Tensor,
    *,
    margin: float = 0.5,
    scale: float = 30.0,
) -> Tensor:
    """Cross-entropy with the target's logit lowered by the margin of its class.

    Cao et al., NeurIPS 2019, equation 12 with the margins of :func:`class_margins`. Margins are
    measured in cosines and logits are cosines times ``scale``, so a logit falls by the product.
    The paper combines it with weights that set in late (deferred re-weighting); see
    :func:`training.losses.class_balanced_weights`.

    Args:
        logits: ``(N, C)`` scaled cosines.
        targets: ``(N,)`` int64 in ``[0, C)``, each of a class that has a row.
        counts: ``(C,)`` training rows of each class, at least one above zero.
        margin: of the rarest class, in cosines, >= 0; 0 leaves plain cross-entropy.
        scale: what the cosines were multiplied by, > 0.

    Returns:
        ``(N,)`` losses in nats.

    The target leads by as much as its margin takes away, so both classes are even.

    >>> logits = torch.tensor([[0.0, 5.0]])
    >>> loss = ldam(logits, torch.tensor([1]), torch.tensor([16, 1]), margin=0.5, scale=10.0)
    >>> torch.exp(-loss)
    tensor([0.5000])
    """
    lowered = scale * class_margins(counts, margin).to(logits)[targets]
    held = logits.scatter_add(1, targets[:, None], -lowered[:, None])
    return softmax_cross_entropy(held, targets, reduction="none")
