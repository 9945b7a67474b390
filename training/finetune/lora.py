"""Low-rank additions to the layers of an image tower (LoRA), by the library ``peft``.

Hu et al., LoRA: Low-rank adaptation of large language models, ICLR 2022.
"""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

from open_clip.modified_resnet import AttentionPool2d
from torch import nn

from rac.errors import InputError


def add_lora(visual: nn.Module, rank: int) -> Any:
    """Add trainable low-rank matrices to linear, attention and convolution layers, in place.

    The weights that were there are frozen. At first the additions are zero, so the tower gives
    what it gave. Convolutions in groups (depthwise ones) have too few weights for it and stay.

    Args:
        visual: image tower of an open_clip model.
        rank: of the additions, at least 1; they are scaled by 1, as with ``lora_alpha`` = rank.

    Returns:
        peft's model around the tower, which :func:`merged` takes.

    Raises:
        InputError: peft is not installed, or the tower has no such layer.
    """
    try:
        peft = import_module("peft")
    except ImportError as error:
        raise InputError(
            "LoRA needs the package peft: pip install peft, or train with --model.tune full"
        ) from error
    targets = _targets(visual)
    if not targets:
        raise InputError("this image tower has no layer for LoRA; train with --model.tune full")
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=targets, bias="none")
    return peft.get_peft_model(visual, config)


def merged(adapted: Any) -> nn.Module:
    """Give a copy of the tower with the additions added to its weights, as it was built."""
    tower: nn.Module = copy.deepcopy(adapted).merge_and_unload()
    return tower


def _targets(visual: nn.Module) -> list[str]:
    attention = [
        name for name, layer in visual.named_modules() if isinstance(layer, nn.MultiheadAttention)
    ]
    # These read the weights of the projections inside of them and never call the layers: peft
    # knows how to adapt torch's own attention as a whole, and nobody the pooling one.
    whole = (nn.MultiheadAttention, AttentionPool2d)
    inside = [f"{name}." for name, layer in visual.named_modules() if isinstance(layer, whole)]
    others = [
        name
        for name, layer in visual.named_modules()
        if (isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1))
        and not any(name.startswith(prefix) for prefix in inside)
    ]
    return attention + others
