"""What the image side learns from: features of scenes that have names, and of pictures without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from training.mini.trunk import Floats


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

    def and_also(self, others: Painted) -> Painted:
        """Return these and the others."""
        return Painted(
            torch.cat([self.features, others.features]), torch.cat([self.colours, others.colours])
        )
