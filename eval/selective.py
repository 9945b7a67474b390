"""Answering only when sure: how many errors remain at each share of rows answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Floats, as_flags, as_probabilities, require_same_length


@dataclass(frozen=True)
class RiskCoverage:
    """Risk against coverage, one point for each distinct confidence, surest rows first.

    Rows of equal confidence are answered together: no threshold can part them.

    Attributes:
        threshold: (P,) falling; rows with at least this confidence are answered.
        coverage: (P,) share of rows answered, rising to 1.
        risk: (P,) share of wrong answers among those answered.
        area: mean over the rows of the risk at their own threshold (AURC), lower is better; None
            where there are no rows.
    """

    threshold: Floats
    coverage: Floats
    risk: Floats
    area: float | None

    def coverage_at(self, precision: float) -> float:
        """Largest coverage at which the share of right answers is still at least ``precision``.

        Read off the same rows that it is reported for: a description, not a promise. 0 where no
        threshold reaches it.
        """
        reached = self.coverage[1 - self.risk >= precision - 1e-12]
        return float(reached[-1]) if reached.size else 0.0


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """Risk-coverage curve of predictions with confidences.

    Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks" (arXiv 1705.08500).

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) whether each prediction is right.

    Raises:
        ReportFault: lengths differ, or a confidence is NaN or outside [0, 1].

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.1], np.array([True, True, False, False]))
    >>> curve.coverage
    array([0.25, 0.75, 1.  ])
    >>> curve.risk
    array([0.        , 0.33333333, 0.5       ])
    >>> curve.area  # (0 + 1/3 + 1/3 + 1/2) / 4
    0.2916...
    """
    sure = as_probabilities(confidence, "confidence")
    right = as_flags(correct, "correct")
    require_same_length(confidence=sure, correct=right)
    if not len(sure):
        empty = np.zeros(0)
        return RiskCoverage(threshold=empty, coverage=empty, risk=empty, area=None)
    order = np.argsort(-sure, kind="stable")
    sure, wrong = sure[order], np.cumsum(~right[order])
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)
    answered = last + 1
    risk = wrong[last] / answered
    weight = np.diff(answered, prepend=0) / len(sure)
    return RiskCoverage(
        threshold=sure[last],
        coverage=answered / len(sure),
        risk=risk,
        area=float(np.sum(weight * risk)),
    )
