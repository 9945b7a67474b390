"""How well an attribute filler did on cells whose truth is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eval.arrays import Bools, Floats, require_same_length
from eval.binomial import clopper_pearson_interval
from eval.errors import ReportFault
from eval.selective import RiskCoverage, risk_coverage


@dataclass(frozen=True)
class FillScore:
    """What became of the cells of one attribute.

    Attributes:
        cells: cells with a known truth that the filler was asked for.
        filled: cells that it filled.
        correct: filled cells whose value is the truth.
        coverage: filled / cells; None where there are no cells.
        precision: correct / filled; None where nothing was filled.
        low: lower end of the exact 95 % interval of the precision; None with it.
        high: its upper end.
        curve: risk against coverage over every cell whose best value is known, with coverage as a
            share of those; None where there are none.
        reasons: why cells stayed empty, most frequent reason first.
    """

    cells: int
    filled: int
    correct: int
    coverage: float | None
    precision: float | None
    low: float | None
    high: float | None
    curve: RiskCoverage | None
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def abstained(self) -> int:
        """Cells that stayed empty."""
        return self.cells - self.filled


def evaluate_fills(
    attribute: Sequence[str],
    truth: Sequence[str | None],
    value: Sequence[str | None],
    probability: npt.ArrayLike,
    *,
    candidate: Sequence[str | None] | None = None,
    reason: Sequence[str | None] | None = None,
) -> dict[str, FillScore]:
    """Score filled cells against the truth, attribute by attribute.

    Args:
        attribute: (M,) the cell's attribute.
        truth: (M,) the true value; cells where it is None are left out.
        value: (M,) the value written, None where the filler abstained.
        probability: (M,) probability in [0, 1] of the value, or of the candidate where it
            abstained; NaN only where there is neither.
        candidate: (M,) the best value, also where it was too doubtful to be written; with it the
            risk-coverage curve reaches over the abstained cells.
        reason: (M,) why a cell stayed empty.

    Returns:
        A score for each attribute, in the order in which they first occur.

    Raises:
        ReportFault: lengths differ, or a probability is not in [0, 1].

    >>> scores = evaluate_fills(
    ...     ["colour"] * 4, ["red", "red", "blue", "red"], ["red", "blue", "blue", None],
    ...     [0.9, 0.6, 0.8, 0.3], candidate=["red", "blue", "blue", "blue"])
    >>> score = scores["colour"]
    >>> score.cells, score.filled, score.correct, score.coverage
    (4, 3, 2, 0.75)
    >>> score.curve.risk.tolist()
    [0.0, 0.0, 0.333..., 0.5]
    """
    best = list(value) if candidate is None else list(candidate)
    columns = {
        "attribute": np.array(attribute, dtype=object),
        "truth": np.array(truth, dtype=object),
        "value": np.array(value, dtype=object),
        "candidate": np.array(best, dtype=object),
        "reason": np.array(reason if reason is not None else [None] * len(best), dtype=object),
    }
    chance: Floats = np.asarray(probability, dtype=np.float64)
    require_same_length(probability=chance, **columns)
    written = columns["value"]
    filled: Bools = np.array([cell is not None for cell in written], dtype=bool)
    columns["candidate"] = np.where(filled, written, columns["candidate"])
    judged: Bools = np.array([cell is not None for cell in columns["candidate"]], dtype=bool)
    bad = np.flatnonzero(judged & ~((chance >= -1e-6) & (chance <= 1 + 1e-6)))
    if bad.size:
        row = int(bad[0])
        raise ReportFault(
            f"cell {row + 1} (attribute {attribute[row]!r}): probability {chance[row]} is not "
            "between 0 and 1"
        )
    known: Bools = np.array([cell is not None for cell in truth], dtype=bool)
    scores: dict[str, FillScore] = {}
    for name in dict.fromkeys(attribute):
        of_attribute: Bools = (columns["attribute"] == name) & known
        right: Bools = (columns["candidate"] == columns["truth"]) & of_attribute
        shown = of_attribute & judged
        empty = of_attribute & ~filled
        why = Counter(str(cell) for cell in columns["reason"][empty] if cell is not None)
        scores[name] = _score(
            cells=int(of_attribute.sum()),
            filled=int((of_attribute & filled).sum()),
            correct=int((right & filled).sum()),
            curve=risk_coverage(chance[shown], right[shown]) if shown.any() else None,
            reasons=dict(why.most_common()),
        )
    return scores


def sum_fills(scores: Sequence[FillScore]) -> FillScore:
    """The score over all cells of several attributes; it has no curve.

    >>> one = evaluate_fills(["a", "b"], ["x", "y"], ["x", None], [1.0, 0.2])
    >>> total = sum_fills(list(one.values()))
    >>> total.cells, total.filled, total.coverage, total.precision
    (2, 1, 0.5, 1.0)
    """
    reasons: Counter[str] = Counter()
    for score in scores:
        reasons.update(score.reasons)
    return _score(
        cells=sum(score.cells for score in scores),
        filled=sum(score.filled for score in scores),
        correct=sum(score.correct for score in scores),
        curve=None,
        reasons=dict(reasons.most_common()),
    )


def _score(
    *,
    cells: int,
    filled: int,
    correct: int,
    curve: RiskCoverage | None,
    reasons: dict[str, int],
) -> FillScore:
    low, high = clopper_pearson_interval(correct, filled) if filled else (None, None)
    return FillScore(
        cells=cells,
        filled=filled,
        correct=correct,
        coverage=filled / cells if cells else None,
        precision=correct / filled if filled else None,
        low=low,
        high=high,
        curve=curve,
        reasons=reasons,
    )
