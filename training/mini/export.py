"""Writes a finished model as open_clip's hub layout reads it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from rac.encoders.layout import PHOTO_CROP, WEIGHTS_FILE, write_folder
from training.mini.space import EMBED_DIM
from training.mini.texttower import text_config
from training.mini.trunk import CROP_SHARE, IMAGE_SIZE, MEAN, STD, TRUNK_NAME

LOGIT_SCALE = math.log(20.0)


def model_config() -> dict[str, Any]:
    """What ``open_clip_config.json`` says."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "vision_cfg": {
                "timm_model_name": TRUNK_NAME,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "mlp",
                "timm_proj_bias": True,
                "image_size": IMAGE_SIZE,
            },
            "text_cfg": text_config(),
        },
        "preprocess_cfg": {
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            PHOTO_CROP: CROP_SHARE,
        },
    }


def assemble(
    trunk: torch.nn.Module, head: torch.nn.Sequential, tower: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """Put the parts together under open_clip's names.

    Half precision, but for the trunk's batch statistics, whose small variances need more digits.
    """
    state = {f"visual.trunk.{name}": value for name, value in trunk.state_dict().items()}
    for ours, theirs in (
        ("0.weight", "fc1.weight"),
        ("0.bias", "fc1.bias"),
        ("2.weight", "fc2.weight"),
        ("2.bias", "fc2.bias"),
    ):
        state[f"visual.head.mlp.{theirs}"] = head.state_dict()[ours]
    state.update(tower.state_dict())
    small = {
        name: value.half() if value.is_floating_point() and ".bn" not in name else value
        for name, value in state.items()
    }
    small["logit_scale"] = torch.tensor(LOGIT_SCALE)
    return {name: value.contiguous() for name, value in small.items()}


def save_model(
    folder: Path, trunk: torch.nn.Module, head: torch.nn.Sequential, tower: torch.nn.Module
) -> Path:
    """Write config and weights to ``folder`` and return the weights' path."""
    return write_folder(folder, assemble(trunk, head, tower), model_config()) / WEIGHTS_FILE
