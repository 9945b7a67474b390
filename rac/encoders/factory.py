"""From open_clip's names to a model with weights and the transform that its images want."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
from torchvision.transforms import CenterCrop, Compose, Resize

from rac.encoders.framing import ResizePhotosLarger
from rac.encoders.layout import CONFIG_FILE, LOCAL, PHOTO_CROP
from rac.errors import InputError


def create_model(model_name: str, pretrained: str | None = None) -> tuple[Any, Any, float]:
    """Build a model on the CPU.

    Weights are read as tensors only (safetensors, or ``torch.load`` with ``weights_only``). A model
    without weights is an error, never a randomly initialised encoder.

    Args:
        model_name: as open_clip's factory takes it.
        pretrained: tag or file of the weights; None where the name says it all.

    Returns:
        The model, its evaluation transform, and the share of a photo's side that the transform
        keeps, in (0, 1]. It is 1 in open_clip's own models, which resize to what they crop. A
        local folder may ask for less by ``photo_crop_pct`` among its ``preprocess_cfg``; see
        :class:`rac.encoders.framing.ResizePhotosLarger`.

    Raises:
        InputError: ``photo_crop_pct`` is out of range, or the model resizes in another way.
        OSError, RuntimeError, ValueError, KeyError, safetensors.SafetensorError: open_clip's own.
    """
    model, transform = open_clip.create_model_from_pretrained(
        model_name, pretrained=pretrained, device="cpu", weights_only=True
    )
    share = _photo_crop(model_name)
    return model, _enlarging(transform, share) if share < 1 else transform, share


def _enlarging(transform: Any, share: float) -> Compose:
    steps = list(transform.transforms)
    match steps[:2]:
        case [Resize(size=int(side)) as resize, CenterCrop() as crop] if set(crop.size) == {side}:
            return Compose([ResizePhotosLarger(resize, share), *steps[1:]])
    raise InputError(
        f"{PHOTO_CROP} needs a square image and the resize_mode 'shortest', not {transform}"
    )


def _photo_crop(model_name: str) -> float:
    if not model_name.startswith(LOCAL):
        return 1.0
    path = Path(model_name.removeprefix(LOCAL)) / CONFIG_FILE
    share = json.loads(path.read_text(encoding="utf-8")).get("preprocess_cfg", {}).get(PHOTO_CROP)
    if share is None:
        return 1.0
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise InputError(f"{path}: {PHOTO_CROP} must be above 0 and at most 1, not {share!r}")
    return float(share)
