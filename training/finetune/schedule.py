"""How the learning rate goes: up in a line, down along a cosine."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, warmup: int, total: int) -> float:
    """Give the share of the full learning rate at a step.

    Goyal et al. 2017 (arXiv 1706.02677), section 2.2, for the gradual warm-up; Loshchilov and
    Hutter, SGDR, ICLR 2017, equation 5 without restarts, for the cosine.

    Args:
        step: from 0.
        warmup: steps until the full rate, >= 0.
        total: steps of the whole training.

    Returns:
        In (0, 1] for steps before the last, and 0 from ``total`` on.

    >>> [round(warmup_cosine(step, warmup=2, total=6), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    gone = min((step - warmup) / max(total - warmup, 1), 1.0)
    return 0.5 * (1.0 + math.cos(math.pi * gone))
