"""Real open_clip models, small enough to be made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISIONS: dict[str, dict[str, Any]] = {
    "vit": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "timm": {
        "timm_model_name": "test_efficientnet",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "mlp",
        "image_size": 64,
    },
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 32, "patch_size": None},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}


def write_tiny_model(folder: Path, vision: str, seed: int = 0, mean: float = 0.5) -> Path:
    """Write a hub-layout folder with random weights of a model of one of VISIONS."""
    folder.mkdir(parents=True)
    preprocess = PREPROCESS | {"mean": [mean] * 3, "resize_mode": "shortest"}
    config = {
        "model_cfg": {"embed_dim": 16, "vision_cfg": VISIONS[vision], "text_cfg": TEXT},
        "preprocess_cfg": preprocess,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    return folder
