"""Writes an encoder whose image tower was trained, as open_clip's hub layout reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import nn

from rac.encoders.factory import create_model
from rac.encoders.layout import CONFIG_FILE, PHOTO_CROP
from rac.encoders.load import open_clip_name
from retrieval_index.files import replace_file

WEIGHTS_FILE = "open_clip_model.safetensors"


def write_encoder(
    visual: nn.Module, source: str, folder: Path, *, image_size: int | None = None
) -> Path:
    """Write config and weights: of the image tower as trained, of the text tower as before.

    Args:
        visual: the image tower, as open_clip builds it.
        source: name of the encoder that it was trained from.
        folder: to write to; what it held of an encoder is replaced. The config is written last,
            and without it the folder is no encoder.
        image_size: side in pixels at which it is to look at whole pictures; as before if None.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, pretrained = open_clip_name(source)
    model, _, photo_crop = create_model(name, pretrained)
    trained = {key: value.detach().cpu() for key, value in visual.state_dict().items()}
    model.visual.load_state_dict(trained)
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    with replace_file(folder / WEIGHTS_FILE) as draft:
        save_file(_plain(model.state_dict()), draft, metadata={"format": "pt"})
    preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": preprocessing}
    if image_size is not None:
        preprocessing["size"] = [image_size, image_size]
        config["model_cfg"]["vision_cfg"]["image_size"] = image_size
    elif photo_crop != 1:
        preprocessing[PHOTO_CROP] = photo_crop
    with replace_file(folder / CONFIG_FILE) as draft:
        draft.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def _plain(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give tensors that lie in memory row by row and share none of it."""
    return {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()
    }
