"""Precision control: from which probability on a cell may be filled, for the promise to be kept.

Letters of shapes: N known cells, C values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, expit, logit  # type: ignore[import-untyped]

from eval.binomial import clopper_pearson_lower
from rac.attributes.model.allowed_errors import allowed_errors
from rac.attributes.task.sample_size import CONFIDENCE, smallest_sample

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_STEPS = 50
_OFFSET_SPREAD = 1.0
_PROVEN_SHARE = 0.6


@dataclass(frozen=True)
class Threshold:
    """The rule for one attribute, with what it rests on.

    Attributes:
        above: fill where the probability is greater than this; None where nothing may be filled.
        target: the precision asked for.
        confidence: with which ``precision_bound`` holds; None where nothing backs the rule.
        known: known cells that were predicted.
        cells: those of them above the threshold.
        right: how many of these were right.
        precision_bound: lower bound of the precision above the threshold; None where unknown.
        reason: why nothing may be filled, or what the rule lacks.
        withheld: cells above the threshold whose value is withheld all the same.
    """

    above: float | None
    target: float
    confidence: float | None = None
    known: int = 0
    cells: int = 0
    right: int = 0
    precision_bound: float | None = None
    reason: str | None = None
    withheld: int = 0

    @property
    def expected_precision(self) -> float | None:
        """Share of the predicted cells above the threshold that were right; None without any."""
        return self.right / self.cells if self.cells else None

    @property
    def expected_coverage(self) -> float | None:
        """Share of the predicted cells that would have been answered; None without any known."""
        return (self.cells - self.withheld) / self.known if self.known else None

    def among(self, predicted: int, withheld: int) -> Threshold:
        """Give the same rule with its coverage among more predicted cells, and less some."""
        return replace(self, known=predicted, withheld=withheld)


def fit_threshold(
    probability: Doubles,
    right: Bools,
    *,
    target: float,
    confidence: float = CONFIDENCE,
    job: int = 0,
) -> Threshold:
    """Find the lowest threshold above which the precision is vouched for.

    Each candidate is a hypothesis test: will the cells filled above it miss the target? Predicted
    and filled cells are one lot, dealt at random into the two; how many wrong ones can have been
    dealt among the filled, given those seen among the predicted, is hypergeometric (the exact
    prediction bound of Thatcher 1964; see :mod:`rac.attributes.model.allowed_errors`). So the
    promise is about the cells of this very job, and stricter than one about a long run of them
    (Clopper and Pearson 1934). Looking for the best of many candidates would break the promise, so
    they are tested in a fixed sequence, from the more confident downwards, each at the full
    confidence, until one fails: the chance of ever passing a false one stays below
    ``1 - confidence`` (Learn then Test, Angelopoulos et al. 2021, arXiv 2110.01052, section 3.2,
    fixed-sequence testing). The sequence starts where the probabilities themselves, and no
    knowledge of what was right, give the test its best chance.

    A candidate is the probability of one of the cells, and those strictly above it are counted,
    so that given the candidate they are a plain sample of the cells above it.

    Args:
        probability: (N,) of the best value of each known cell, from models that did not see it.
        right: (N,) whether that value was the cell's.
        target: in (0, 1).
        confidence: in (0, 1).
        job: about how many cells the predicted ones stand for; fewer than those count as as many.

    Returns:
        The threshold; ``above`` is None, with the reason, where no candidate passes.

    All of 60 cells are right, which vouches for .9 with confidence .95; the bound on a long run is
    0.05 ** (1 / 60) = .951.

    >>> found = fit_threshold(np.linspace(0.8, 1.0, 60), np.ones(60, bool), target=0.9)
    >>> found.above, found.cells, round(found.precision_bound, 3)
    (0.0, 60, 0.951)
    """
    known = len(probability)
    needed = smallest_sample(target, confidence)
    if known < needed:
        return Threshold(
            None,
            target,
            confidence,
            known=known,
            reason=f"{known} known cells cannot vouch for precision {target:g} with confidence "
            f"{confidence:g}; it takes at least {needed}",
        )
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order].astype(np.float64)
    candidates = _candidates(ranked, needed)
    hits = np.concatenate([[0], np.cumsum(right[order])])
    hoped = np.concatenate([[0.0], np.cumsum(np.clip(ranked, 0.0, 1.0))])
    share = max(1.0, job / known)
    filled = np.ceil(share * candidates).astype(np.int64)
    allowed = allowed_errors(candidates, filled, target, confidence)
    start = _most_promising(candidates, allowed, hoped[candidates])
    fails = np.flatnonzero((candidates - hits[candidates] > allowed)[start:])
    passed = fails[0] if len(fails) else len(candidates) - start
    if not passed:
        tried = int(candidates[start])
        return Threshold(
            None,
            target,
            confidence,
            known=known,
            reason=f"no threshold keeps precision {target:g} with confidence {confidence:g}: of "
            f"the {tried} surest of {known} known cells {int(hits[tried])} came out right",
        )
    cells = int(candidates[start + passed - 1])
    return Threshold(
        above=0.0 if cells == known else float(ranked[cells]),
        target=target,
        confidence=confidence,
        known=known,
        cells=cells,
        right=int(hits[cells]),
        precision_bound=float(clopper_pearson_lower(hits[cells], cells, confidence)),
    )


def value_offsets(probability: Doubles, right: Bools, value: IntArray, count: int) -> Doubles:
    """Give how much surer or less sure, in log odds, one should be of each value.

    A value that is mostly wrong when it is chosen must not hide behind the others' good average.
    For each value the offset b maximises the likelihood of what was right under
    sigmoid(logit(p) + b), with a normal prior of mean 0 and variance 1 on b, which leaves a value
    with little evidence nearly where it was.

    Args:
        probability: (N,) of the chosen value.
        right: (N,) whether it was right.
        value: (N,) the chosen value, in [0, count).
        count: C.

    Returns:
        (C,) offsets; 0 for a value that was never chosen.

    >>> p, v = np.full(10, 0.9), np.array([0] * 5 + [1] * 5)
    >>> b = value_offsets(p, np.array([True] * 5 + [False] * 5), v, 3)
    >>> bool(b[0] > 0), bool(b[1] < -1.5), float(b[2])
    (True, True, 0.0)
    """
    base = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    offsets = np.zeros(count)
    for _ in range(30):
        shares = expit(base + offsets[value])
        slope = np.bincount(value, right - shares, count) - offsets / _OFFSET_SPREAD
        bend = np.bincount(value, shares * (1 - shares), count) + 1 / _OFFSET_SPREAD
        # A bounded Newton step: the function is concave, but flat far from its top.
        step = np.clip(slope / bend, -1.0, 1.0)
        offsets += step
        if np.abs(step).max(initial=0.0) < 1e-6:
            break
    return offsets


def shift_probability(probability: Doubles, offset: Doubles) -> Doubles:
    """Move probabilities by offsets in log odds; both of shape (N,)."""
    moved: Doubles = expit(logit(np.clip(probability, 1e-6, 1 - 1e-6)) + offset)
    return moved


def low_support(right: Bools, value: IntArray, above: Bools, count: int) -> Bools:
    """Say which values have low support: not right often enough above a threshold to be written.

    A bound over the whole attribute may hide a value that is mostly wrong, the rare ones above
    all. A value is written only if its own share of right cells, by Laplace's rule of succession
    (h + 1) / (n + 2), is above .6: with two cells or fewer all have to be right, and a value that
    no known cell has vouched for is not written.

    Args:
        right: (N,) whether the chosen value was right.
        value: (N,) the chosen value.
        above: (N,) whether the cell lies above the threshold.
        count: C.

    Returns:
        (C,) True for the values to withhold.

    >>> v = np.array([0, 1, 1, 2, 2, 2, 2])
    >>> r = np.array([True, True, False, True, True, True, False])
    >>> low_support(r, v, np.ones(7, bool), 4).tolist()
    [False, True, False, True]
    """
    chosen = np.bincount(value[above], minlength=count)
    hits = np.bincount(value[above & right], minlength=count)
    held: Bools = (hits + 1) / (chosen + 2) <= _PROVEN_SHARE
    return held


def _candidates(ranked: Doubles, needed: int) -> IntArray:
    """Give ascending numbers of cells to test, each a place where the probability drops."""
    known = len(ranked)
    drops = np.flatnonzero(np.concatenate([ranked[:-1] > ranked[1:], [True]])) + 1
    drops = drops[drops >= needed]
    wanted = np.linspace(needed, known, _STEPS)
    return np.unique(drops[np.searchsorted(drops, wanted).clip(max=len(drops) - 1)])


def _most_promising(candidates: IntArray, allowed: IntArray, hoped: Doubles) -> int:
    """Give the place of the candidate whose test is likeliest to pass if ``hoped`` is right.

    Args:
        candidates: (C,) numbers of cells.
        allowed: (C,) how many of them may be wrong; below zero where the test cannot pass.
        hoped: (C,) how many of them are thought to be right.
    """
    needed = candidates - allowed
    rate = np.minimum(hoped / candidates, 1 - 1e-9)
    chances = np.zeros(len(candidates))
    passing = allowed >= 0
    chances[passing] = betainc(needed[passing], allowed[passing] + 1, rate[passing])
    return int(np.argmax(chances))
