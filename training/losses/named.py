"""The door to the losses: by name, with their settings bound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from torch import Tensor

from rac.errors import InputError
from training.losses.focal import focal
from training.losses.margin import ldam
from training.losses.softmax import balanced_softmax, cross_entropy, logit_adjusted

#: Logits ``(N, C)``, targets ``(N,)`` and counts ``(C,)`` to ``(N,)`` losses in nats.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LossName = Literal["cross-entropy", "logit-adjusted", "balanced-softmax", "ldam", "focal"]


def loss_named(
    name: LossName,
    *,
    tau: float = 1.0,
    gamma: float = 2.0,
    margin: float = 0.5,
    scale: float = 30.0,
) -> Loss:
    """Give the loss of a name; a setting is heard by the loss that has it.

    Args:
        name: of the loss.
        tau: strength of ``logit-adjusted``, >= 0.
        gamma: power of ``focal``, >= 0.
        margin: of the rarest class in ``ldam``, in cosines, >= 0.
        scale: what ``ldam`` takes the cosines to have been multiplied by, > 0.

    Raises:
        InputError: there is no such loss, or a setting is out of its range.
    """
    for setting, value in (("tau", tau), ("gamma", gamma), ("margin", margin)):
        if value < 0:
            raise InputError(f"{setting} must be at least 0, got {value}")
    if scale <= 0:
        raise InputError(f"scale must be above 0, got {scale}")
    losses: dict[str, Loss] = {
        "cross-entropy": cross_entropy,
        "logit-adjusted": partial(logit_adjusted, tau=tau),
        "balanced-softmax": balanced_softmax,
        "ldam": partial(ldam, margin=margin, scale=scale),
        "focal": partial(focal, gamma=gamma),
    }
    if name not in losses:
        raise InputError(f"no loss is called {name!r}: {', '.join(get_args(LossName))}")
    return losses[name]
