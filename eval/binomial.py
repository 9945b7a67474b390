"""Exact (Clopper-Pearson) bounds of a share that was counted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv  # type: ignore[import-untyped]

from eval.arrays import Floats
from eval.errors import ReportFault


def clopper_pearson_lower(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95
) -> Floats:
    """One-sided exact lower bound of a success rate.

    With probability at least ``confidence`` over the drawing of the trials, the true rate is not
    below it. Clopper and Pearson, Biometrika 26 (1934): the (1 - confidence) quantile of
    Beta(successes, trials - successes + 1).

    Args:
        successes: number or array of whole numbers, from 0 to ``trials``.
        trials: number or array of the same shape; 0 trials say nothing and give 0.
        confidence: in (0, 1), one-sided.

    Returns:
        Array of the broadcast shape (zero-dimensional for numbers), values in [0, 1].

    Raises:
        ReportFault: successes outside [0, trials], or confidence outside (0, 1).

    >>> float(clopper_pearson_lower(10, 10, 0.95))  # all right: 0.05 ** (1 / 10)
    0.7411...
    >>> float(clopper_pearson_lower(0, 0))
    0.0
    """
    hits, total = _counts(successes, trials, confidence)
    bound = np.zeros(hits.shape)
    some = hits > 0
    bound[some] = betaincinv(hits[some], total[some] - hits[some] + 1, 1 - confidence)
    return bound


def clopper_pearson_upper(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95
) -> Floats:
    """One-sided exact upper bound of a success rate; 0 trials give 1.

    The mirror image of :func:`clopper_pearson_lower`; same arguments and faults.

    >>> float(clopper_pearson_upper(0, 10, 0.95))  # none right: 1 - 0.05 ** (1 / 10)
    0.2588...
    """
    hits, total = _counts(successes, trials, confidence)
    return 1.0 - clopper_pearson_lower(total - hits, total, confidence)


def clopper_pearson_interval(
    successes: int, trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Two-sided exact interval of a success rate: half of the doubt on each side.

    >>> low, high = clopper_pearson_interval(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.1871, 0.8129)
    """
    one_sided = 1 - (1 - confidence) / 2
    low = float(clopper_pearson_lower(successes, trials, one_sided))
    high = float(clopper_pearson_upper(successes, trials, one_sided))
    return low, high


def _counts(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    if not 0 < confidence < 1:
        raise ReportFault(f"confidence must lie between 0 and 1, not {confidence}")
    hits, total = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    )
    if not bool(np.all((hits >= 0) & (hits <= total))):
        raise ReportFault("successes must be from 0 to the number of trials")
    return hits, total
