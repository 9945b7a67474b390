"""From decoded pixels of any size to what a network reads: open_clip's own steps, on bytes.

Everything up to the conversion to floats is done here, by a decoding thread; scaling to floats and
normalisation belong to the network (:mod:`rac.encoders.towers`), so a quarter of the bytes travel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from open_clip.transform import MaybeConvertMode, MaybeToTensor
from PIL import Image
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.v2 import functional

from rac.encoders.framing import ResizePhotosLarger
from rac.images import Pixels

Preprocess = Callable[[Pixels], Pixels]


def byte_steps(transform: Any) -> Preprocess:
    """Give the part of an open_clip evaluation transform that works on bytes.

    Resizing and cropping run on tensors, whose antialiased byte kernels give Pillow's result to
    within rounding at a third of the time; a transform with other steps runs on Pillow as it is.

    Args:
        transform: what open_clip's factory gives: a composition that ends in the conversion to
            floats and the normalisation.

    Returns:
        A function from (H, W, 3) uint8 to (3, h, w) uint8.

    Raises:
        ValueError: the transform has no conversion to floats.
    """
    steps: list[Any] = list(transform.transforms)
    ends = [place for place, step in enumerate(steps) if isinstance(step, MaybeToTensor)]
    if not ends:
        raise ValueError(f"no conversion to floats among the steps of {transform}")
    on_pictures = [step for step in steps[: ends[0]] if not isinstance(step, MaybeConvertMode)]
    if all(isinstance(step, ResizePhotosLarger | Resize | CenterCrop) for step in on_pictures):
        return lambda pixels: _on_tensor(on_pictures, pixels)
    return lambda pixels: _on_picture(on_pictures, pixels)


def _on_tensor(steps: Sequence[ResizePhotosLarger | Resize | CenterCrop], pixels: Pixels) -> Pixels:
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for given in steps:
        step = given.choose(pixels) if isinstance(given, ResizePhotosLarger) else given
        if isinstance(step, Resize):
            size = [step.size] if isinstance(step.size, int) else list(step.size)
            tensor = functional.resize(
                tensor, size, interpolation=step.interpolation, antialias=True
            )
        else:
            tensor = functional.center_crop(tensor, list(step.size))
    return tensor.contiguous().numpy()


def _on_picture(steps: Sequence[Callable[[Image.Image], Image.Image]], pixels: Pixels) -> Pixels:
    picture = Image.fromarray(pixels)
    for step in steps:
        picture = step(picture)
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))
