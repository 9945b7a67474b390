"""The image tower of an open_clip model as one module that reads bytes and gives both outputs."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn


class ImageTower(nn.Module):
    """Bytes (N, 3, H, W) to trunk features (N, T) and unnormalised embeddings (N, D).

    Both come from one forward pass. Scaling to 0..1 and normalisation are part of it, in float32;
    the network behind them computes in ``precision``.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, visual: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wrap an image tower; its parameters are shared, not copied."""
        super().__init__()
        self.outputs = two_outputs(visual)
        self.precision = torch.float32
        # (bytes / 255 - mean) / std, as one multiplication and one addition.
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.float().reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.float().reshape(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give (trunk features, embeddings) of bytes."""
        values = pixels.float() * self.scale + self.shift
        trunk, embedding = self.outputs(values.to(self.precision))
        return trunk.float(), embedding.float()

    def in_precision(self, precision: torch.dtype) -> ImageTower:
        """Copy this tower with its network in another precision."""
        other = copy.deepcopy(self)
        other.outputs.to(precision)
        other.precision = precision
        return other


def two_outputs(visual: nn.Module) -> nn.Module:
    """Wrap an image tower so that it gives (trunk features (N, T), embeddings (N, D)).

    Towers whose joint projection cannot be told apart give their embedding as trunk features.
    """
    if isinstance(visual, TimmModel):
        return _TimmOutputs(visual)
    if isinstance(visual, VisionTransformer) and visual.proj is not None:
        return _TransformerOutputs(visual)
    if isinstance(visual, ModifiedResNet):
        return _ResNetOutputs(visual)
    return _SameTwice(visual)


class _TimmOutputs(nn.Module):
    def __init__(self, visual: TimmModel) -> None:
        super().__init__()
        self.trunk, self.head = visual.trunk, visual.head

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        trunk = self.trunk(values)
        # An attention pool in the head leaves the trunk's output a map of positions.
        pooled = trunk.mean(dim=tuple(range(2, trunk.ndim))) if trunk.ndim > 2 else trunk
        return pooled, self.head(trunk)


class _TransformerOutputs(nn.Module):
    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.projection = visual.proj
        # The same tower without its projection; the modules inside are shared.
        self.headless = copy.copy(visual)
        self.headless._parameters = dict(visual._parameters)
        self.headless.proj = None

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.headless(values)
        trunk = output[0] if isinstance(output, tuple) else output
        return trunk, trunk @ self.projection


class _ResNetOutputs(nn.Module):
    def __init__(self, visual: ModifiedResNet) -> None:
        super().__init__()
        self.pool = visual.attnpool
        self.headless = copy.copy(visual)
        self.headless._modules = {**visual._modules, "attnpool": nn.Identity()}

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        positions = self.headless(values)
        return positions.mean(dim=(2, 3)), self.pool(positions)


class _SameTwice(nn.Module):
    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.visual(values)
        embedding = output[0] if isinstance(output, tuple) else output
        return embedding, embedding
