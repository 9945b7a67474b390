"""Trains the image tower's projection head on cached trunk features.

The head is two small networks side by side. *Meaning*: one hidden unit for each ImageNet class and
the names of the classes behind them, which is ConSE before any training, its softmax included (see
`start_meaning`); from there it is moved towards the teacher and the names of drawings. *Looks*:
colours and patterns, in units of their own, so that learning them moves no meaning.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.mini.colours import COLOURS
from training.mini.pseudoimages import PseudoImages
from training.mini.space import COLOUR_AXES, EMBED_DIM, MEANING_DIM, PATTERN_AXES
from training.mini.teacher import Teacher
from training.mini.trunk import CLASSES, FEATURE_DIM, Floats

HIDDEN = 2 * EMBED_DIM
LOOKS = slice(COLOUR_AXES.start, PATTERN_AXES.stop)
#: Makes sums of names, weighted by what comes out of the tail, about as long as a unit vector.
_MEANING_SCALE = 100.0
#: Logits of looks are this times the output, so that outputs are of the order of a unit vector's.
_LOOK_SCALE = 6.0


@dataclass(frozen=True)
class Labelled:
    """Scenes with what they show.

    Attributes:
        features: ``(N, 1280)``.
        name: ``(N,)`` rows of ``meanings``.
        weight: ``(N,)`` how often a scene is drawn, relative to others.
        colours: ``(N, 11)`` shares of the basic colours.
        pattern: ``(N,)`` index, or -1 where unknown.
        tinted: ``(N,)`` whether the scene was painted, so that its look says little of its name.
        meanings: ``(M, 240)`` of the distinct names.
    """

    features: torch.Tensor
    name: torch.Tensor
    weight: Floats
    colours: torch.Tensor
    pattern: torch.Tensor
    tinted: torch.Tensor
    meanings: torch.Tensor

    def draw(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        """Draw ``(count,)`` scenes by their weights, with replacement."""
        chances = self.weight.astype(np.float64) / self.weight.sum(dtype=np.float64)
        return torch.from_numpy(rng.choice(len(chances), count, p=chances))


@dataclass(frozen=True)
class Painted:
    """Pictures without names.

    Attributes:
        features: ``(N, 1280)``.
        colours: ``(N, 11)`` shares of the basic colours, all zero where unknown.
    """

    features: torch.Tensor
    colours: torch.Tensor


@dataclass(frozen=True)
class HeadPlan:
    """How the head is trained; what it was chosen by, the model card says.

    Attributes:
        runs: trainings of the meaning, of different draws, whose weights are averaged: from the
            same start they end near each other, and their mean forgets less than any of them.
        steps: of each of them.
        look_steps: of the looks.
        batch: features in a step.
        scenes: share of them that are labelled scenes; the rest belong to the teacher.
        pseudo: share of pseudo images among those of the teacher; the rest are pictures.
        rate: of AdamW for the units of meaning; ``name_rate`` for the names behind them, whose
            weights are large; ``look_rate`` of the looks.
        names: weight of the names of scenes.
        angle: weight of the cosine to the teacher, and ``nearness`` of its nearest names.
        length: weight of the squared logarithm of the length of an output.
        temperature: of similarities to names, ``softness`` of those that the names have themselves.
        ceiling: logit that no class reaches (18.9 was the highest among 40,000 pictures), and
            ``width`` of a unit's tail in logits.
        painted: share of pictures with known colours and no name while looks are learnt.
        look_noise: standard deviation of what is added to features while looks are learnt, as large
            as that of a feature over photos: without it drawings' colours are learnt, not photos'.
    """

    runs: int = 3
    steps: int = 1600
    look_steps: int = 2000
    batch: int = 480
    scenes: float = 0.2
    pseudo: float = 0.35
    rate: float = 5e-4
    name_rate: float = 1.25e-2
    look_rate: float = 1e-3
    names: float = 0.5
    angle: float = 6.0
    nearness: float = 1.5
    length: float = 0.3
    temperature: float = 0.06
    softness: float = 0.1
    ceiling: float = 20.0
    width: float = 4.0
    painted: float = 0.1
    look_noise: float = 0.5


def _layers(part: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    first, last = part[0], part[2]
    if not isinstance(first, nn.Linear) or not isinstance(last, nn.Linear):
        raise TypeError("a part is linear, GELU, linear")
    return first, last


def start_meaning(teacher: Teacher, plan: HeadPlan) -> nn.Sequential:
    """Make the part for meanings, ``(N, 1280)`` to ``(N, 240)``: ConSE in one hidden layer.

    Far below zero GELU falls off as a Gaussian's tail does: over the logits that a photo has,
    nearly exponentially. So units that stay below zero are the numerators of a softmax (with
    their sign turned), and the denominator does not matter: an embedding's length is taken off.
    Behind a class stand its name and, half as heavy, the words of the table that look like it.
    """
    shares = teacher.looks.square()
    alike = (shares / shares.sum(0).clamp(min=1e-9)).T @ teacher.words
    part = nn.Sequential(
        nn.Linear(FEATURE_DIM, CLASSES), nn.GELU(), nn.Linear(CLASSES, MEANING_DIM, bias=False)
    )
    first, last = _layers(part)
    with torch.no_grad():
        first.weight.copy_(teacher.weight / plan.width)
        first.bias.copy_((teacher.bias - plan.ceiling) / plan.width)
        last.weight.copy_(-_MEANING_SCALE * (teacher.names + 0.5 * alike).T)
    return part


def start_looks() -> nn.Sequential:
    """Make the part for colours and patterns, ``(N, 1280)`` to ``(N, 15)``."""
    units = HIDDEN - CLASSES
    return nn.Sequential(
        nn.Linear(FEATURE_DIM, units),
        nn.GELU(),
        nn.Linear(units, LOOKS.stop - LOOKS.start, bias=False),
    )


def join(meaning: nn.Sequential, looks: nn.Sequential) -> nn.Sequential:
    """Put both parts into one head: open_clip's ``timm_proj: mlp`` for an embedding of 512."""
    head = nn.Sequential(
        nn.Linear(FEATURE_DIM, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, EMBED_DIM, bias=False)
    )
    first, last = _layers(head)
    (of_meaning, to_meaning), (of_looks, to_looks) = _layers(meaning), _layers(looks)
    with torch.no_grad():
        first.weight.copy_(torch.cat([of_meaning.weight, of_looks.weight]))
        first.bias.copy_(torch.cat([of_meaning.bias, of_looks.bias]))
        last.weight.zero_()
        last.weight[:MEANING_DIM, :CLASSES] = to_meaning.weight
        last.weight[LOOKS, CLASSES:] = to_looks.weight
    return head


def train_head(
    data: Labelled,
    photos: torch.Tensor,
    painted: Painted,
    teacher: Teacher,
    plan: HeadPlan,
    seed: int,
) -> nn.Sequential:
    """Train both parts and join them.

    Args:
        data: Labelled scenes.
        photos: ``(P, 1280)`` features of pictures without names.
        painted: Pictures to learn colours from, beside the scenes, where they are known.
        teacher: Says where photos and pseudo images belong.
        plan: Weights and lengths.
        seed: Of the draws.
    """
    runs = [train_meaning(data, photos, teacher, plan, seed + run) for run in range(plan.runs)]
    return join(averaged(runs), train_looks(data, painted, plan, seed))


def averaged(parts: Sequence[nn.Sequential]) -> nn.Sequential:
    """Average the weights of networks of one shape (Wortsman et al. 2022, a uniform soup)."""
    mean = copy.deepcopy(parts[0])
    with torch.no_grad():
        for kept, *all_of_them in zip(
            mean.parameters(), *(part.parameters() for part in parts), strict=True
        ):
            kept.copy_(torch.stack(all_of_them).mean(0))
    return mean


def train_meaning(
    data: Labelled, photos: torch.Tensor, teacher: Teacher, plan: HeadPlan, seed: int
) -> nn.Sequential:
    """Train the part for meanings once; arguments are those of `train_head`."""
    from rich.progress import track

    rng = np.random.default_rng(seed)
    pseudo = PseudoImages(photos, teacher, seed)
    part = start_meaning(teacher, plan)
    units, names = _layers(part)
    optimiser = torch.optim.AdamW(
        [
            {"params": units.parameters(), "peak": plan.rate},
            {"params": names.parameters(), "peak": plan.name_rate},
        ],
        weight_decay=0.0,
    )
    labelled = round(plan.batch * plan.scenes)
    drawn = round((plan.batch - labelled) * plan.pseudo)
    for step in track(range(plan.steps), description="meaning"):
        done = step / plan.steps
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * min(1.0, 20 * done + 0.01) * (1.02 - done)
        rows = data.draw(labelled, rng)
        rows = rows[~data.tinted[rows]]
        real = torch.from_numpy(rng.integers(len(photos), size=plan.batch - labelled - drawn))
        taught = torch.cat([pseudo.draw(drawn), photos[real]])
        out = part(torch.cat([taught, data.features[rows]]))
        found = functional.normalize(out, dim=-1)
        loss = _teacher_loss(found[: len(taught)], teacher(taught), data.meanings, plan)
        loss = loss + plan.names * _name_loss(
            found[len(taught) :], data.meanings[data.name[rows]], data.meanings, plan
        )
        # Sure photos make long sums of names; the looks beside them must still be heard.
        loss = loss + plan.length * out.norm(dim=-1).log().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return part


def _teacher_loss(
    found: torch.Tensor, wanted: torch.Tensor, bank: torch.Tensor, plan: HeadPlan
) -> torch.Tensor:
    """Be near the teacher, and above all have the same nearest names: a cosine alone blurs."""
    ought = functional.softmax(wanted @ bank.T / plan.temperature, dim=-1)
    near = functional.log_softmax(found @ bank.T / plan.temperature, dim=-1)
    angle = (1 - (found * wanted).sum(-1)).mean()
    return plan.angle * angle - plan.nearness * (ought * near).sum(-1).mean()


def _name_loss(
    found: torch.Tensor, wanted: torch.Tensor, bank: torch.Tensor, plan: HeadPlan
) -> torch.Tensor:
    ought = functional.softmax(wanted @ bank.T / plan.softness, dim=-1)
    near = functional.log_softmax(found @ bank.T / plan.temperature, dim=-1)
    return (-(ought * near).sum(-1)).mean() + (1 - (found * wanted).sum(-1)).mean()


def train_looks(data: Labelled, painted: Painted, plan: HeadPlan, seed: int) -> nn.Sequential:
    """Train the part for colours and patterns; arguments are those of `train_head`."""
    from rich.progress import track

    torch.manual_seed(seed)
    rng, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    part = start_looks()
    extra = round(plan.batch * plan.painted)
    known = torch.nonzero(painted.colours.any(dim=1)).squeeze(1)
    optimiser = torch.optim.AdamW(part.parameters(), weight_decay=1e-3)
    for step in track(range(plan.look_steps), description="looks"):
        for group in optimiser.param_groups:
            group["lr"] = plan.look_rate * (1.02 - step / plan.look_steps)
        rows = data.draw(plan.batch - extra, rng)
        more = known[torch.from_numpy(rng.integers(len(known), size=extra))]
        features = torch.cat([data.features[rows], painted.features[more]])
        features = features + plan.look_noise * torch.randn(features.shape, generator=draws)
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
