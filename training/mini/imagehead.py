"""The image tower's projection head: open_clip's ``timm_proj: mlp``, one hidden layer of GELU.

It is two small networks side by side. *Sight* is computed, not trained: where `Sights` has a text
that looks as this photo does. *Looks*, the colours and patterns, are trained on features of
drawings and made photos, in units of their own, so that learning them moves no sight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.mini.colours import COLOURS
from training.mini.labelled import Labelled, Painted
from training.mini.sights import DRAWN, Sights
from training.mini.space import COLOUR_AXES, EMBED_DIM, PATTERN_AXES, SIGHT_DIM
from training.mini.trunk import CLASSES, FEATURE_DIM, ImageNetClassifier

HIDDEN = 2 * EMBED_DIM
LOOKS = slice(COLOUR_AXES.start, PATTERN_AXES.stop)
_SIGHT_UNITS = CLASSES + SIGHT_DIM
# A class's unit is at (logit - _CEILING) / _WIDTH. No logit of 40,000 pictures was above 18.9,
# where GELU still falls; from there down to logits that matter no more it shrinks about as
# exp(logit / 2).
_CEILING, _WIDTH = 24.0, 6.0
# Where the units of features work: GELU is the identity there, within +- _REACH.
_OFFSET, _REACH = 8.0, 4.0
# Length of a sight beside the looks, which are about as long as 1.
_LENGTH = 1.3
#: Logits of looks are this times the output, so that outputs are of the order of a unit vector's.
_LOOK_SCALE = 6.0


@dataclass(frozen=True)
class LookPlan:
    """How looks are trained.

    Attributes:
        steps: of AdamW.
        batch: features in a step.
        rate: its learning rate at the start; it falls to nearly nothing. Higher ones learn drawings
            better, and photos worse.
        painted: share of pictures with known colours and no name.
        noise: standard deviation of what is added to features, as large as that of a feature over
            photos: without it drawings' colours are learnt, not photos'.
    """

    steps: int = 2000
    batch: int = 480
    rate: float = 3e-4
    painted: float = 0.4
    noise: float = 0.5


def _layers(part: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    first, last = part[0], part[2]
    if not isinstance(first, nn.Linear) or not isinstance(last, nn.Linear):
        raise TypeError("a part is linear, GELU, linear")
    return first, last


def sight_part(
    sights: Sights, whitening: torch.Tensor, classifier: ImageNetClassifier, photos: torch.Tensor
) -> nn.Sequential:
    """Compute the part that sees, ``(N, 1280)`` to ``(N, 240)``.

    Far below zero GELU falls off as a Gaussian's tail does: over the logits that a photo has,
    nearly exponentially. So units that stay there are, with their sign turned, roots of
    probabilities but for a factor of the photo's own, which is near enough to 1. Other units hand
    whitened features on unchanged, along the axes of sight.

    Args:
        sights: Where texts lie.
        whitening: ``(1280, 1280)`` of features.
        classifier: The trunk's.
        photos: ``(P, 1280)`` features, whose mean is taken off and whose spread sets the scale.
    """
    part = nn.Sequential(
        nn.Linear(FEATURE_DIM, _SIGHT_UNITS), nn.GELU(), nn.Linear(_SIGHT_UNITS, SIGHT_DIM)
    )
    first, last = _layers(part)
    axes = torch.from_numpy(sights.photo_axes)
    along = DRAWN * axes[CLASSES:].T @ whitening
    reach = ((photos - photos.mean(0)) @ along.T).abs().amax(0).clamp(min=1e-9) / _REACH
    along = along / reach[:, None]
    with torch.no_grad():
        first.weight.copy_(torch.cat([torch.from_numpy(classifier.weight) / _WIDTH, along]))
        first.bias[:CLASSES] = (torch.from_numpy(classifier.bias) - _CEILING) / _WIDTH
        first.bias[CLASSES:] = _OFFSET - along @ photos.mean(0)
        roots = functional.gelu(first(photos)[:, :CLASSES])
        last.weight[:, :CLASSES] = -axes[:CLASSES].T / roots.norm(dim=1).median()
        last.weight[:, CLASSES:] = torch.diag(reach)
        last.bias.zero_()
        seen = part(photos)
        mean = seen.mean(0)
        scale = _LENGTH / (seen - mean).norm(dim=1).median()
        last.weight.mul_(scale)
        last.bias.copy_(-scale * mean)
    return part


def start_looks() -> nn.Sequential:
    """Make the part for colours and patterns, ``(N, 1280)`` to ``(N, 15)``."""
    units = HIDDEN - _SIGHT_UNITS
    return nn.Sequential(
        nn.Linear(FEATURE_DIM, units),
        nn.GELU(),
        nn.Linear(units, LOOKS.stop - LOOKS.start, bias=False),
    )


def join(sight: nn.Sequential, looks: nn.Sequential) -> nn.Sequential:
    """Put both parts into one head, ``(N, 1280)`` to ``(N, 704)``."""
    head = nn.Sequential(nn.Linear(FEATURE_DIM, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, EMBED_DIM))
    first, last = _layers(head)
    (of_sight, to_sight), (of_looks, to_looks) = _layers(sight), _layers(looks)
    with torch.no_grad():
        first.weight.copy_(torch.cat([of_sight.weight, of_looks.weight]))
        first.bias.copy_(torch.cat([of_sight.bias, of_looks.bias]))
        last.weight.zero_()
        last.weight[:SIGHT_DIM, :_SIGHT_UNITS] = to_sight.weight
        last.weight[LOOKS, _SIGHT_UNITS:] = to_looks.weight
        last.bias.zero_()
        last.bias[:SIGHT_DIM] = to_sight.bias
    return head


def train_looks(data: Labelled, painted: Painted, plan: LookPlan, seed: int) -> nn.Sequential:
    """Train the part for colours and patterns.

    Args:
        data: Labelled scenes.
        painted: Pictures to learn colours from, beside the scenes, where they are known.
        plan: Lengths and rates.
        seed: Of the draws.
    """
    from rich.progress import track

    torch.manual_seed(seed)
    rng, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    part = start_looks()
    extra = round(plan.batch * plan.painted)
    known = torch.nonzero(painted.colours.any(dim=1)).squeeze(1)
    optimiser = torch.optim.AdamW(part.parameters(), weight_decay=1e-3)
    for step in track(range(plan.steps), description="looks"):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * (1.02 - step / plan.steps)
        rows = data.draw(plan.batch - extra, rng)
        more = known[torch.from_numpy(rng.integers(len(known), size=extra))]
        features = torch.cat([data.features[rows], painted.features[more]])
        features = features + plan.noise * torch.randn(features.shape, generator=draws)
        colours = torch.cat([data.colours[rows], painted.colours[more]])
        pattern = functional.pad(data.pattern[rows], (0, extra), value=-1)
        loss = _look_loss(part(features), colours, pattern)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return part


def _look_loss(found: torch.Tensor, shares: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    logits = found * _LOOK_SCALE
    colours, kinds = logits[:, : len(COLOURS)], logits[:, len(COLOURS) :]
    loss = (-(shares * functional.log_softmax(colours, dim=-1)).sum(-1)).mean()
    known = pattern >= 0
    if known.any():
        loss = loss + 0.5 * functional.cross_entropy(kinds[known], pattern[known])
    return loss
