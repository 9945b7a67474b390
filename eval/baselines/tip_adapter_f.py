"""Tip-Adapter-F: Tip-Adapter whose keys are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Ints, Scores
from eval.baselines.base import Baseline, Examples, Predictor, Prompts
from eval.baselines.tip_adapter import TipSetting, cache_model
from eval.baselines.zero_shot import required

EPOCHS = 20
BATCH_ROWS = 256
MOST_STEPS = 100
"""Batches at most: an epoch of many rows teaches more than one of few, and costs more."""


@dataclass(frozen=True)
class TipTrainedSetting:
    """What the keys are trained with, at ``alpha`` and ``beta``."""

    alpha: float
    beta: float
    rate: float


class TipAdapterF(Baseline[TipTrainedSetting]):
    """Tip-Adapter with keys fine-tuned by cross-entropy from the training rows on.

    Zhang et al., Tip-Adapter: training-free adaption of CLIP for few-shot classification, ECCV
    2022, section 3.3: AdamW, twenty epochs of batches of 256, values and prompts frozen.
    """

    name = "tip-adapter-f"
    random = True
    needs_prompts = True

    def grid(self) -> Sequence[TipTrainedSetting]:
        """The paper's first choice (1, 5.5) and five others at its learning rate."""
        choices = product((1.0, 30.0, 1000.0), (5.5, 20.0), (0.001,))
        return [TipTrainedSetting(*one) for one in choices]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: TipTrainedSetting,
        seed: int,
    ) -> Predictor:
        """Train the keys."""
        names = required(prompts)
        keys = train_keys(train, names, setting, seed)
        cache = TipSetting(setting.alpha, setting.beta)
        return cache_model(keys, train.classes, names, len(counts), cache)


def train_keys(train: Examples, prompts: Prompts, setting: TipTrainedSetting, seed: int) -> Scores:
    """Give the (N, D) keys, trained by the cross-entropy of what the cache model says.

    A training row finds itself among the keys, as in the paper.

    Args:
        train: N rows.
        prompts: of the C classes.
        setting: weight, steepness and learning rate.
        seed: of the order of the rows.
    """
    import torch
    from torch.nn.functional import cross_entropy

    rows = torch.from_numpy(train.space("embedding"))
    targets = torch.from_numpy(train.classes)
    member = torch.nn.functional.one_hot(targets, len(prompts.vectors)).float()
    zero_shot = torch.from_numpy(prompts.logits(train.queries))
    keys = rows.clone().requires_grad_()
    steps = min(EPOCHS * -(-len(rows) // BATCH_ROWS), MOST_STEPS)
    optimiser = torch.optim.AdamW([keys], lr=setting.rate, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for batch in shuffled_batches(len(rows), steps, seed):
        chosen = torch.from_numpy(batch)
        affinity = torch.exp(setting.beta * (rows[chosen] @ keys.T - 1))
        loss = cross_entropy(
            zero_shot[chosen] + setting.alpha * (affinity @ member), targets[chosen]
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return np.asarray(keys.detach().numpy(), np.float32)


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
