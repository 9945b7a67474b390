"""The fusion: how much each branch is believed, class by class, and how sure the sum is.

A fixed weight gives up what one of the branches is good at, since the base branch is right about
classes with many rows and the retrieval branch about those with few. So the weights depend on the
class in question: with ``u`` the log training count of class c, centred and scaled,

    score(c) = (w1 + w2 u) base(c) + (w3 + w4 u) retrieval(c) + w5 u

over the log-probabilities of the branches; a softmax of it, with a temperature, gives the answer.
This is a conditional logit model (McFadden 1974): convex in its five weights, so that its fit has
one answer, and small enough to be fitted on the few rows that tail classes have. Where the rows
are fitted class-balanced, ``w5`` learns how far the prior of the training counts must be undone.
Where the text branch is on, ``(t1 + t2 u) text(c)`` is added to the score; both weights start at 0.

Terms that look at the query (similarity of the nearest row, agreement of the neighbours, entropies
of both branches, whether both say the same) were measured and left out: with any strength of ridge
they moved macro accuracy on grocery-store-lt by less than .005, and lost .013 on tuxpaint-stamps.
Training rows are photographed alike, so held-out training rows lie nearer to the memory than new
images do, and what such terms learn on the one does not hold on the other. Training counts do not
shift. Squares and kinks in ``u`` were measured too: they gain in the tail what they lose in the
middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rac.branches.base import Floats, Integers, log_softmax

DoubleArray = npt.NDArray[np.float64]

#: Pull of each weight towards its start; keeps weights finite where held-out rows are all right.
RIDGE = 1e-3

#: Bounds of the temperature; a handful of rows that are all right would ask for none at all.
TEMPERATURES = (0.2, 5.0)


@dataclass(frozen=True)
class Fusion:
    """Weights of the branches as a function of a class's training count.

    Attributes:
        weights: ``(w1, w2, w3, w4, w5)`` of the module's formula.
        centre: mean log count of the classes.
        spread: standard deviation of the log counts, 1 where all are equal.
        temperature: > 0; scores are divided by it before the softmax.
        text: ``(t1, t2)``, the weights of the text branch; heard where that branch is given.
    """

    weights: tuple[float, float, float, float, float]
    centre: float
    spread: float
    temperature: float = 1.0
    text: tuple[float, float] = (0.0, 0.0)

    def log_probabilities(
        self, base: Floats, retrieval: Floats, counts: Integers, text: Floats | None = None
    ) -> Floats:
        """Fuse ``(N, C)`` log-probabilities of both branches into ``(N, C)``.

        Args:
            base: of the base branch.
            retrieval: of the retrieval branch.
            counts: ``(C,)`` training rows of each class.
            text: of the text branch; None where it is off.
        """
        u = self.rarity(counts)
        w1, w2, w3, w4, w5 = self.weights
        scores = (w1 + w2 * u) * base + (w3 + w4 * u) * retrieval + w5 * u
        if text is not None:
            t1, t2 = self.text
            scores = scores + (t1 + t2 * u) * text
        return log_softmax(scores / self.temperature)

    def rarity(self, counts: Integers) -> DoubleArray:
        """Give ``(C,)`` centred and scaled log counts; a class with no row counts as one."""
        logs: DoubleArray = (np.log(np.maximum(counts, 1)) - self.centre) / self.spread
        return logs


@dataclass(frozen=True)
class Heard:
    """What the branches said about rows that none of them had seen, and what was right.

    Attributes:
        base: ``(N, C)`` log-probabilities.
        retrieval: ``(N, C)`` log-probabilities.
        truth: ``(N,)`` class of each row.
        weights: ``(N,)`` >= 0. A row whose class had no other row when it was held out cannot be
            found by anyone and must have 0.
        text: ``(N, C)`` log-probabilities of the text branch; None where it is off.
    """

    base: Floats
    retrieval: Floats
    truth: Integers
    weights: DoubleArray
    text: Floats | None = None


def unfitted_fusion(counts: Integers, *, with_retrieval: bool = True) -> Fusion:
    """Give the fusion that a fit starts from: both branches alike, no regard for counts.

    >>> import numpy as np
    >>> unfitted_fusion(np.array([5, 5])).weights
    (0.5, 0.0, 0.5, 0.0, 0.0)
    """
    logs = np.log(np.maximum(counts, 1))
    spread = float(logs.std())
    weights = (0.5, 0.0, 0.5, 0.0, 0.0) if with_retrieval else (1.0, 0.0, 0.0, 0.0, 0.0)
    return Fusion(weights, float(logs.mean()), spread if spread > 1e-9 else 1.0)


def fit_fusion(
    heard: Sequence[Heard],
    counts: Integers,
    *,
    with_retrieval: bool = True,
    start: Fusion | None = None,
    ridge: float = RIDGE,
) -> Fusion:
    """Fit the weights by L-BFGS on the weighted log-loss of held-out rows.

    Each set has the same say, however many rows it holds: cross-fitted training rows are many but
    easier than new images, validation rows few but honest.

    Args:
        heard: sets of held-out rows; those without a weight above zero are left out. The text
            branch gets a weight where all of them have heard it.
        counts: ``(C,)`` training rows of each class.
        with_retrieval: False fits the base branch alone, for when the memory is empty; nor is the
            text branch heard then.
        start: what the weights are held near; :func:`unfitted_fusion` if None.
        ridge: weight of the squared distance from it, >= 0.

    Returns:
        The fitted fusion; ``start`` where there is no held-out row at all.
    """
    import torch
    from torch.nn.functional import cross_entropy

    start = start or unfitted_fusion(counts, with_retrieval=with_retrieval)
    sets = [one for one in heard if one.weights.sum() > 0]
    if not sets:
        return start
    u = torch.from_numpy(start.rarity(counts))
    with_text = with_retrieval and all(one.text is not None for one in sets)
    text = start.text if with_text else ()
    origin = torch.tensor((*start.weights, *text), dtype=torch.float64)
    # Where all counts are equal, or one branch is silent, its weights stay where they are.
    free = torch.ones_like(origin)
    free[2:4] = float(with_retrieval)
    parts = []
    for one in sets:
        kept = one.weights > 0
        terms = [
            torch.from_numpy(said[kept].astype(np.float64))
            for said in (one.base, one.retrieval, one.text if with_text else None)
            if said is not None
        ]
        say = torch.from_numpy(one.weights[kept] / one.weights.sum())
        parts.append((terms, torch.from_numpy(one.truth[kept]), say))
    theta = origin.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([theta], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        w = origin + (theta - origin) * free
        loss = ridge * ((w - origin) ** 2).sum()
        for (base, retrieval, *told), truth, say in parts:
            scores = (w[0] + w[1] * u) * base + (w[2] + w[3] * u) * retrieval + w[4] * u
            for said in told:
                scores = scores + (w[5] + w[6] * u) * said
            each = cross_entropy(scores, truth, reduction="none")
            loss = loss + (say * each).sum() / len(parts)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = (origin + (theta.detach() - origin) * free).tolist()
    w1, w2, w3, w4, w5, *of_text = (float(weight) for weight in found)
    t1, t2 = of_text or start.text
    return replace(start, weights=(w1, w2, w3, w4, w5), text=(t1, t2))


def fused(fusion: Fusion, heard: Heard, counts: Integers) -> Floats:
    """Give the ``(N, C)`` fused log-probabilities of held-out rows."""
    return fusion.log_probabilities(heard.base, heard.retrieval, counts, heard.text)


def calibrate(fusion: Fusion, heard: Heard, counts: Integers) -> Fusion:
    """Set the temperature by the log-loss of held-out rows (Guo et al., ICML 2017).

    Args:
        fusion: fitted.
        heard: rows like those to come, such as validation rows.
        counts: ``(C,)`` training rows of each class.

    Returns:
        The fusion with a temperature within ``TEMPERATURES``; unchanged where no row has a weight.
    """
    import torch
    from torch.nn.functional import nll_loss

    kept = heard.weights > 0
    if not kept.any():
        return fusion
    plain = replace(fusion, temperature=1.0)
    said = fused(plain, heard, counts)[kept]
    scores = torch.from_numpy(said.astype(np.float64))
    truth = torch.from_numpy(heard.truth[kept])
    say = torch.from_numpy(heard.weights[kept] / heard.weights.sum())
    sharpness = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([sharpness], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        sharpened = torch.log_softmax(scores * sharpness.exp(), dim=1)
        loss = (say * nll_loss(sharpened, truth, reduction="none")).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    low, high = TEMPERATURES
    return replace(fusion, temperature=min(max(float(torch.exp(-sharpness.detach())), low), high))
