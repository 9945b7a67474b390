"""Whether a change of counted rows is more than chance, for one class or for many at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc  # type: ignore[import-untyped]

from eval.arrays import Bools, Floats, Ints, as_indices, require_same_length


def sign_test(lost: npt.ArrayLike, gained: npt.ArrayLike) -> Floats:
    """Exact two-sided p-values that losses and gains are equally likely.

    The exact form of McNemar's test (Psychometrika 12, 1947): of the rows whose outcome changed,
    the number lost is binomial with probability 1/2. Where nothing changed, p is 1.

    Args:
        lost: (C,) rows that were right before and are wrong now.
        gained: (C,) rows that were wrong before and are right now.

    Raises:
        ReportFault: the lengths differ, or a count is not a whole number.

    >>> sign_test([6, 5, 0], [0, 0, 0])  # 2 / 2^6, 2 / 2^5
    array([0.03125, 0.0625 , 1.     ])
    """
    fewer, more = as_indices(lost, "lost"), as_indices(gained, "gained")
    require_same_length(lost=fewer, gained=more)
    changed, most = fewer + more, np.maximum(fewer, more)
    p = np.ones(len(changed))
    some = changed > 0
    # P(X >= k) of a binomial is a value of the incomplete beta function.
    tail = betainc(most[some], changed[some] - most[some] + 1, 0.5)
    p[some] = np.minimum(1.0, 2 * tail)
    return p


def discoveries(p: npt.ArrayLike, rate: float = 0.05) -> Bools:
    """Which of many tests to believe, so that at most ``rate`` of these are false on average.

    Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995), the step-up
    procedure of section 3.1.

    Args:
        p: (C,) p-values of all tests that were made, whatever they said.
        rate: the false discovery rate, in (0, 1).

    >>> discoveries([0.01, 0.9, 0.03, 0.5], rate=0.06)
    array([ True, False,  True, False])
    """
    values: Floats = np.asarray(p, dtype=np.float64)
    if not len(values):
        return np.zeros(0, dtype=bool)
    order: Ints = np.argsort(values, kind="stable")
    within = np.flatnonzero(values[order] <= rate * np.arange(1, len(values) + 1) / len(values))
    found = np.zeros(len(values), dtype=bool)
    if within.size:
        found[order[: within[-1] + 1]] = True
    return found
