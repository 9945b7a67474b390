"""Writes an encoder whose image tower was trained, as open_clip's hub layout reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import nn

from rac.encoders.factory import create_model
from rac.encoders.layout import CONFIG_FILE, PHOTO_CROP, WEIGHTS_FILE, write_folder
from rac.encoders.load import open_clip_name


def write_encoder(visual: nn.Module, source: str, folder: Path) -> Path:
    """Write config and weights: of the image tower as trained, of the text tower as before.

    Args:
        visual: the image tower, as open_clip builds it.
        source: name of the encoder that it was trained from.
        folder: to write to, see :func:`rac.encoders.layout.write_folder`.

    Returns:
        The folder.
    """
    name, pretrained = open_clip_name(source)
    model, _, photo_crop = create_model(name, pretrained)
    trained = {key: value.detach().cpu() for key, value in visual.state_dict().items()}
    model.visual.load_state_dict(trained)
    preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
    if photo_crop != 1:
        preprocessing[PHOTO_CROP] = photo_crop
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": preprocessing}
    return write_folder(folder, _plain(model.state_dict()), config)


def write_resized(encoder: Path, folder: Path, image_size: int) -> Path:
    """Write an encoder of the same weights that looks at whole pictures, at another size.

    Args:
        encoder: folder that :func:`write_encoder` has written.
        folder: to write to, see :func:`rac.encoders.layout.write_folder`.
        image_size: side in pixels, at least 1.

    Returns:
        The folder.
    """
    config = json.loads((encoder / CONFIG_FILE).read_text(encoding="utf-8"))
    config["model_cfg"]["vision_cfg"]["image_size"] = image_size
    config["preprocess_cfg"]["size"] = [image_size, image_size]
    config["preprocess_cfg"].pop(PHOTO_CROP, None)
    return write_folder(folder, load_file(encoder / WEIGHTS_FILE), config)


def _plain(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give tensors that lie in memory row by row and share none of it."""
    return {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()
    }
