"""Writes an encoder whose image tower was trained, as open_clip's hub layout reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import nn

from rac.documents import read_json
from rac.encoders.factory import build_model
from rac.encoders.layout import CONFIG_FILE, PHOTO_CROP, WEIGHTS_FILE, write_folder
from rac.encoders.load import open_clip_name
from rac.encoders.sources import find_source
from rac.encoders.tokenizer import FILES


def write_encoder(visual: nn.Module, source: str, folder: Path) -> Path:
    """Write config and weights: of the image tower as trained, of the text tower as before.

    Args:
        visual: the image tower, as open_clip builds it.
        source: name of the encoder that it was trained from.
        folder: to write to, see :func:`rac.encoders.layout.write_folder`.

    Returns:
        The folder.
    """
    found = find_source(*open_clip_name(source))
    model, _, photo_crop = build_model(found)
    trained = {key: value.detach().cpu() for key, value in visual.state_dict().items()}
    model.visual.load_state_dict(trained)
    preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
    if photo_crop != 1:
        preprocessing[PHOTO_CROP] = photo_crop
    described = found.config.model_cfg
    config = {"model_cfg": described.said(), "preprocess_cfg": preprocessing}
    own = FILES if described.text_cfg.hf_tokenizer_name else ()
    tokenizer = {name: path for name in own if (path := found.files.find(name)) is not None}
    return write_folder(folder, _plain(model.state_dict()), config, tokenizer)


def write_resized(encoder: Path, folder: Path, image_size: int) -> Path:
    """Write an encoder of the same weights that looks at whole pictures, at another size.

    Args:
        encoder: folder that :func:`write_encoder` has written.
        folder: to write to, see :func:`rac.encoders.layout.write_folder`.
        image_size: side in pixels, at least 1.

    Returns:
        The folder.
    """
    config = read_json(encoder / CONFIG_FILE)
    config["model_cfg"]["vision_cfg"]["image_size"] = image_size
    config["preprocess_cfg"]["size"] = [image_size, image_size]
    config["preprocess_cfg"].pop(PHOTO_CROP, None)
    tokenizer = {name: encoder / name for name in FILES if (encoder / name).is_file()}
    return write_folder(folder, load_file(encoder / WEIGHTS_FILE), config, tokenizer)


def _plain(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give tensors that lie in memory row by row and share none of it."""
    return {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()
    }
