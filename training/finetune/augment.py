"""Light augmentation: another crop, its mirror image, another light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from rac.errors import InputError
from rac.images import Pixels


class Augmentation:
    """Random resized crop, flip and colour jitter; the same key gives the same bits.

    Args:
        size: (height, width) of what comes out, in pixels.
        smallest_crop: share of the picture's area that a crop keeps at least, in (0, 1].
        flip: whether half of the pictures are mirrored.
        jitter: by how much brightness, contrast and saturation change at most, in [0, 1]; the hue
            turns by a tenth of it.

    Raises:
        InputError: a number is out of its range.
    """

    def __init__(
        self, size: tuple[int, int], *, smallest_crop: float, flip: bool, jitter: float
    ) -> None:
        if not 0 < smallest_crop <= 1:
            raise InputError(f"smallest_crop must be above 0 and at most 1, got {smallest_crop}")
        if not 0 <= jitter <= 1:
            raise InputError(f"jitter must be in [0, 1], got {jitter}")
        steps: list[v2.Transform] = [
            v2.RandomResizedCrop(
                size,
                scale=(smallest_crop, 1.0),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            )
        ]
        if flip:
            steps.append(v2.RandomHorizontalFlip())
        if jitter:
            steps.append(v2.ColorJitter(jitter, jitter, jitter, jitter / 10))
        self._steps = v2.Compose(steps)

    def __call__(self, pixels: Pixels, key: Sequence[int]) -> Tensor:
        """Give (3, H, W) uint8 of (h, w, 3); ``key`` is what the draw depends on, and all."""
        seed = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0] >> 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed: Tensor = self._steps(torch.from_numpy(pixels).permute(2, 0, 1))
        return changed.contiguous()
