"""The reference runtime: torch, on the CPU, CUDA or MPS."""

from __future__ import annotations

import numpy as np
import torch

from rac.encoders.runtimes.base import FloatArray, Precision, Runtime, RuntimeChoice
from rac.encoders.towers import ImageTower
from rac.images import Pixels

NAME = "torch"


class TorchRuntime(Runtime):
    """Runs the tower on a torch device."""

    def __init__(self, tower: ImageTower, device: torch.device, precision: Precision) -> None:
        """Take a tower in evaluation mode; a copy is made only for another precision or device."""
        self.choice = RuntimeChoice(NAME, precision)
        self._device = device
        if precision is not Precision.float32:
            tower = tower.in_precision(getattr(torch, precision))
        # Convolutions run faster with the channels last; transformers do not mind.
        self._tower = tower.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        """Give trunk features (N, T) and unnormalised embeddings (N, D) of (N, 3, H, W) bytes."""
        batch = torch.from_numpy(pixels)
        if self._device.type == "cuda":
            # From pinned memory the copy runs beside the network.
            batch = batch.pin_memory()
        with torch.inference_mode():
            batch = batch.to(self._device, non_blocking=True)
            trunk, embedding = self._tower(batch.contiguous(memory_format=torch.channels_last))
        return _to_numpy(trunk), _to_numpy(embedding)


def _to_numpy(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.cpu().numpy(), np.float32)
