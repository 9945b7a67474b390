"""Trunk features without a picture, for the teacher to speak on."""

from __future__ import annotations

import torch

from training.mini.teacher import Teacher
from training.mini.trunk import CLASSES


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
        mix = torch.zeros(count, CLASSES)
        one = torch.randint(CLASSES, (count,), generator=self._generator)
        mix[torch.arange(count), one] = 1.0
        word = torch.randint(len(self._looks), (count,), generator=self._generator)
        drawn = self._looks[word] * -torch.log(self._uniform(count, CLASSES).clamp(min=1e-6))
        drawn = drawn / drawn.sum(1, keepdim=True)
        mix = torch.where(self._uniform(count, 1) < 0.6, drawn, mix)
        push = mix * (self._uniform(count, 1) * 9.0)
        blur = torch.randn(count, CLASSES, generator=self._generator)
        push += blur * self._uniform(count, 1) * 0.25
        place = self._places[torch.randint(len(self._places), (count,), generator=self._generator)]
        push[torch.arange(count), place] += (
            self._uniform(count) * 5.0 * (self._uniform(count) < 0.4).float()
        )
        return (self._base[at] + push @ self._steps).clamp(min=0.0)
