"""How many cells it takes to vouch for a precision."""

from __future__ import annotations

import math

CONFIDENCE = 0.95
"""How sure the promise is by default: the share of jobs in which it holds, at least."""


def smallest_sample(target: float, confidence: float = CONFIDENCE) -> int:
    """Give how many cells, all right, it takes to vouch for a precision.

    Args:
        target: the precision, in (0, 1).
        confidence: in (0, 1).

    >>> smallest_sample(0.9), smallest_sample(0.95)
    (29, 59)
    """
    return math.ceil(math.log(1 - confidence) / math.log(target))
