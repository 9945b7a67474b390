"""Cross-entropy, plain and with the class counts inside the softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as softmax_cross_entropy


def cross_entropy(logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Give the ``(N,)`` negative log-likelihood of the targets, in nats.

    Args:
        logits: ``(N, C)``.
        targets: ``(N,)`` int64 in ``[0, C)``.
        counts: ``(C,)`` training rows of each class; not used, so that losses are exchangeable.

    >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2]), torch.ones(4)).exp()
    tensor([4.])
    """
    return softmax_cross_entropy(logits, targets, reduction="none")


def logit_adjusted(logits: Tensor, targets: Tensor, counts: Tensor, *, tau: float = 1.0) -> Tensor:
    """Cross-entropy with the log prior added to the logits while training.

    Menon et al., Long-tail learning via logit adjustment, ICLR 2021, equation 10: the logits meet
    ``tau * log(prior)`` in the loss and not at test time, so that the classifier is consistent for
    the balanced error. A class without a row has no prior, and no target either: it is left out of
    the softmax, where its logit would otherwise only be pushed down.

    Args:
        logits: ``(N, C)``.
        targets: ``(N,)`` int64 in ``[0, C)``, each of a class that has a row.
        counts: ``(C,)`` training rows of each class, at least one above zero.
        tau: strength of the adjustment, >= 0; 0 leaves plain cross-entropy over the classes there.

    Returns:
        ``(N,)`` losses in nats.

    Two classes, three rows to one, equal logits: the prior alone speaks, 3/4 to 1/4.

    >>> loss = logit_adjusted(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([3, 1]))
    >>> torch.exp(-loss)
    tensor([0.7500, 0.2500])
    """
    prior = counts.to(logits.dtype) / counts.sum()
    adjusted = logits + tau * torch.log(prior.clamp(min=torch.finfo(logits.dtype).tiny))
    absent = torch.finfo(logits.dtype).min
    return softmax_cross_entropy(
        adjusted.masked_fill(counts == 0, absent), targets, reduction="none"
    )


def balanced_softmax(logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy of a softmax whose exponentials are multiplied by the class counts.

    Ren et al., Balanced meta-softmax for long-tailed visual recognition, NeurIPS 2020, equation 3.
    Equal to :func:`logit_adjusted` with ``tau`` 1, since a common factor of the counts cancels.

    Args:
        logits: ``(N, C)``.
        targets: ``(N,)`` int64 in ``[0, C)``, each of a class that has a row.
        counts: ``(C,)`` training rows of each class, at least one above zero.

    Returns:
        ``(N,)`` losses in nats.
    """
    return logit_adjusted(logits, targets, counts, tau=1.0)
