"""Training of a cosine classifier with a logit-adjusted loss, by gradient descent.

Letters of shapes: N rows, D dimensions, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.arrays import Ints, Scores
from eval.baselines.base import unit_rows

BATCH_ROWS = 256


@dataclass(frozen=True)
class Descent:
    """How the weights are trained.

    Attributes:
        scale: what cosines are multiplied by.
        tau: strength of the logit adjustment; 0 is plain cross-entropy.
        rate: the first learning rate of Adam; it falls to zero along half a cosine.
        steps: batches of at most 256 rows.
    """

    scale: float
    tau: float
    rate: float
    steps: int


def train_cosine_head(
    rows: Scores, classes: Ints, counts: Ints, initial: Scores, descent: Descent, seed: int
) -> Scores:
    """Train the directions of the classes.

    The loss is that of Menon et al., Long-tail learning via logit adjustment, ICLR 2021, equation
    10: tau times the log prior is added to the logits while training and not when predicting. The
    classes without an image take no part, and keep their first direction.

    Args:
        rows: (N, D) float32, unit norm.
        classes: (N,) in [0, C).
        counts: (C,) training images.
        initial: (C, D) directions to start from.
        descent: how.
        seed: of the order of the rows.

    Returns:
        (C, D) float32, unit norm.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    present = np.flatnonzero(counts)
    place = np.zeros(len(counts), np.int64)
    place[present] = np.arange(len(present))
    inputs, targets = torch.from_numpy(rows), torch.from_numpy(place[classes])
    adjustment = torch.from_numpy(
        (descent.tau * np.log(counts[present] / counts.sum())).astype(np.float32)
    )
    weights = torch.from_numpy(unit_rows(initial)[present]).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=descent.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, descent.steps)
    for batch in shuffled_batches(len(rows), descent.steps, seed):
        chosen = torch.from_numpy(batch)
        cosines = inputs[chosen] @ normalize(weights, dim=1).T
        loss = cross_entropy(descent.scale * cosines + adjustment, targets[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    trained = np.array(initial, np.float32)
    trained[present] = weights.detach().numpy()
    return unit_rows(trained)


def shuffled_batches(rows: int, steps: int, seed: int) -> list[Ints]:
    """Give row numbers for each step: every row once before any comes again.

    >>> [len(batch) for batch in shuffled_batches(600, 4, seed=0)]
    [256, 256, 88, 256]
    """
    draw = np.random.default_rng(seed)
    batches: list[Ints] = []
    while len(batches) < steps:
        order = draw.permutation(rows)
        batches += [order[start : start + BATCH_ROWS] for start in range(0, rows, BATCH_ROWS)]
    return batches[:steps]
