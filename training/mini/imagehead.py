"""Trains the image tower's projection head on cached trunk features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.mini.space import COLOUR_AXES, EMBED_DIM, MEANING_DIM, PATTERN_AXES
from training.mini.teacher import Teacher
from training.mini.trunk import FEATURE_DIM, Floats

HIDDEN = 2 * EMBED_DIM


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


def build_head(teacher: Teacher) -> nn.Sequential:
    """Make a head that begins near ConSE: hidden units are the classifier's rows, then their names.

    Shapes are those of open_clip's ``timm_proj: mlp`` for an embedding of 512.
    """
    head = nn.Sequential(
        nn.Linear(FEATURE_DIM, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, EMBED_DIM, bias=False)
    )
    first, last = head[0], head[2]
    if not isinstance(first, nn.Linear) or not isinstance(last, nn.Linear):
        raise TypeError("the head is linear, GELU, linear")
    with torch.no_grad():
        first.weight[:1000] = 0.5 * teacher.weight
        first.bias[:1000] = 0.5 * (teacher.bias - 5.0)
        last.weight.mul_(0.1)
        last.weight[:MEANING_DIM, :1000] = teacher.names.T * 0.5
        last.weight[:MEANING_DIM, teacher.places] *= 0.1
    return head


class PseudoImages:
    """Features that photos might have: real ones, pushed towards classes that they do not show.

    Args:
        base: ``(N, 1280)`` features of real pictures.
        teacher: Its classifier rows give the directions.
        seed: Of the draws.
    """

    def __init__(self, base: torch.Tensor, teacher: Teacher, seed: int) -> None:
        self._base = base
        self._generator = torch.Generator().manual_seed(seed)
        self._places = teacher.places
        self._looks = teacher.looks.square()
        centred = base - base.mean(0)
        spread = centred.T @ centred / len(base)
        spread = 0.9 * spread + 0.1 * torch.diag(torch.diag(spread))
        rows = teacher.weight - teacher.weight.mean(0)
        along = rows @ spread
        self._steps = along / (rows * along).sum(1, keepdim=True).sqrt()

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=self._generator)

    def draw(self, count: int) -> torch.Tensor:
        """Draw ``(count, 1280)``."""
        at = torch.randint(len(self._base), (count,), generator=self._generator)
        mix = torch.zeros(count, 1000)
        one = torch.randint(1000, (count,), generator=self._generator)
        mix[torch.arange(count), one] = 1.0
        word = torch.randint(len(self._looks), (count,), generator=self._generator)
        drawn = self._looks[word] * -torch.log(self._uniform(count, 1000).clamp(min=1e-6))
        drawn = drawn / drawn.sum(1, keepdim=True)
        mix = torch.where(self._uniform(count, 1) < 0.6, drawn, mix)
        push = mix * (self._uniform(count, 1) * 9.0)
        blur = torch.randn(count, 1000, generator=self._generator)
        push += blur * self._uniform(count, 1) * 0.25
        place = self._places[torch.randint(len(self._places), (count,), generator=self._generator)]
        push[torch.arange(count), place] += (
            self._uniform(count) * 5.0 * (self._uniform(count) < 0.4).float()
        )
        return (self._base[at] + push @ self._steps).clamp(min=0.0)


@dataclass(frozen=True)
class HeadPlan:
    """How the head is trained; chosen on held-out concepts, never on an evaluation set."""

    steps: int = 1500
    batch: int = 256
    rate: float = 1e-3
    first_rate: float = 0.3
    names: float = 0.4
    looks: float = 0.5
    photos: float = 4.0
    temperature: float = 0.06
    softness: float = 0.1
    weight_decay: float = 1e-3


def _name_loss(
    found: torch.Tensor, wanted: torch.Tensor, bank: torch.Tensor, plan: HeadPlan
) -> torch.Tensor:
    near = functional.log_softmax(found @ bank.T / plan.temperature, dim=-1)
    ought = functional.softmax(wanted @ bank.T / plan.softness, dim=-1)
    return (-(ought * near).sum(-1)).mean() + (1 - (found * wanted).sum(-1)).mean()


def _look_loss(found: torch.Tensor, data: Labelled, rows: torch.Tensor) -> torch.Tensor:
    guess = functional.log_softmax(found[:, COLOUR_AXES] * 6.0, dim=-1)
    shares = data.colours[rows]
    loss = (-(shares * guess).sum(-1)).mean()
    pattern = data.pattern[rows]
    known = pattern >= 0
    if known.any():
        kinds = found[known][:, PATTERN_AXES] * 6.0
        loss = loss + 0.5 * functional.cross_entropy(kinds, pattern[known])
    return loss


def train_head(
    head: nn.Sequential,
    data: Labelled,
    photos: torch.Tensor,
    teacher: Teacher,
    plan: HeadPlan,
    seed: int,
) -> None:
    """Fit the head, in place.

    Args:
        head: From `build_head`.
        data: Labelled scenes.
        photos: ``(P, 1280)`` features of unlabelled photos.
        teacher: Says where photos and pseudo images belong.
        plan: Weights and lengths.
        seed: Of the draws.
    """
    from rich.progress import track

    rng = np.random.default_rng(seed)
    pseudo = PseudoImages(photos, teacher, seed)
    groups = [
        {"params": list(head[0].parameters()), "part": plan.first_rate},
        {"params": list(head[2].parameters()), "part": 1.0},
    ]
    optimiser = torch.optim.AdamW(
        groups, lr=plan.rate, weight_decay=plan.weight_decay, foreach=True
    )
    chances = _chances(data)
    for step in track(range(plan.steps), description="image head"):
        done = step / plan.steps
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * group["part"] * min(1.0, 20 * done + 0.01) * (1.02 - done)
        rows = torch.from_numpy(rng.choice(len(chances), plan.batch, p=chances))
        drawn = torch.cat(
            [pseudo.draw(plan.batch), photos[torch.randint(len(photos), (plan.batch // 4,))]]
        )
        with torch.no_grad():
            wanted = teacher(drawn)
        out = head(torch.cat([data.features[rows], drawn]))
        scenes, others = out[: plan.batch], out[plan.batch :]
        meaning = functional.normalize(scenes[:, :MEANING_DIM], dim=-1)
        named = ~data.tinted[rows]
        loss = plan.names * _name_loss(
            meaning[named], data.meanings[data.name[rows[named]]], data.meanings, plan
        )
        loss = loss + plan.looks * _look_loss(scenes, data, rows)
        cosine = functional.cosine_similarity(others[:, :MEANING_DIM], wanted, dim=-1)
        loss = loss + plan.photos * (1 - cosine).mean()
        lengths = out[:, :MEANING_DIM].norm(dim=-1)
        loss = loss + 0.1 * (lengths - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _chances(data: Labelled) -> npt.NDArray[np.float64]:
    chances = data.weight.astype(np.float64)
    return np.asarray(chances / chances.sum())
