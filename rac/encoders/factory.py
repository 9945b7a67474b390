"""From an encoder's files to a model with weights and the transform that its images want."""

from __future__ import annotations

import json
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors import SafetensorError, safe_open
from torchvision.transforms import CenterCrop, Compose, Resize

from rac.encoders.framing import ResizePhotosLarger
from rac.encoders.layout import CONFIG_FILE, LOCAL, PHOTO_CROP, WEIGHTS_FILE
from rac.encoders.load import mini_folder
from rac.encoders.sources import Folder, Repository, Source, find_source
from rac.encoders.text_tower import CONFIG, tower_config
from rac.errors import InputError

_SAFETENSORS = ".safetensors"
#: How many times the numbers of the weights an architecture may have. Positions are stretched to
#: other image sizes, and heads that are not loaded are thrown away.
_LARGER = 2


def create_model(model_name: str, pretrained: str | None = None) -> tuple[Any, Any, float]:
    """Find an encoder's files and build it; see :func:`find_source` and :func:`build_model`."""
    return build_model(find_source(model_name, pretrained))


def build_model(source: Source) -> tuple[Any, Any, float]:
    """Build a model on the CPU.

    Weights are read as tensors only (safetensors, or ``torch.load`` with ``weights_only``). A model
    without weights is an error, never a randomly initialised encoder. What open_clip builds is what
    was read of the configuration, not the file.

    Args:
        source: the encoder's files.

    Returns:
        The model, its evaluation transform, and the share of a photo's side that the transform
        keeps, in (0, 1]. It is 1 in open_clip's own models, which resize to what they crop. A
        local folder may ask for less by ``photo_crop_pct`` among its ``preprocess_cfg``; see
        :class:`rac.encoders.framing.ResizePhotosLarger`.

    Raises:
        InputError: the architecture is not one that can be built, the weights are not tensors, do
            not fit it, or hold a number that is none; or ``photo_crop_pct`` is asked of a model
            that resizes in another way.
    """
    trunk = source.config.model_cfg.vision_cfg.timm_model_name
    if trunk is not None and not timm.is_model(trunk):
        raise InputError(f"{source.where}: timm knows no architecture {trunk!r}")
    numbers = _numbers_of(source.weights)
    try:
        with without_logging():
            model, transform = _build(source, numbers)
    except InputError:
        raise
    except Exception as error:
        # What networks raise for settings that do not go together is as varied as they are.
        said = str(error) or type(error).__name__
        raise InputError(f"encoder {source.where!r} cannot be loaded: {said}") from error
    _require_finite(model, source)
    share = source.config.preprocess_cfg.photo_crop_pct or 1.0
    return model, _enlarging(transform, share) if share < 1 else transform, share


@contextmanager
def without_logging() -> Iterator[None]:
    """Keep quiet what is logged on the way to an error that says it all, once for each retry."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _build(source: Source, numbers: int) -> tuple[Any, Any]:
    """Build the network of weights with so many numbers, and its transform."""
    if source.registered is not None and not source.config.model_cfg.text_cfg.hf_model_name:
        name, tag = source.registered
        model, transform = open_clip.create_model_from_pretrained(
            name, pretrained=tag, device="cpu", weights_only=True
        )
        return model, transform
    with _staged(source) as name:
        # What this package brings along needs no check.
        if source.files != Folder(mini_folder()):
            _require_fitting(name, numbers, source)
        model, transform = open_clip.create_model_from_pretrained(
            name, device="cpu", weights_only=True
        )
        return model, transform


@contextmanager
def _staged(source: Source) -> Iterator[str]:
    """Lay out for open_clip what was read, with the weights beside it and nothing else."""
    model = source.config.model_cfg
    described = {
        "model_cfg": model.said(),
        "preprocess_cfg": _tag_settings(source) | source.config.preprocess_cfg.said(),
    }
    with tempfile.TemporaryDirectory(prefix="rac-encoder-") as home:
        folder = Path(home)
        if model.text_cfg.hf_model_name is not None:
            tower = folder / "text_tower"
            tower.mkdir()
            told = tower_config(Repository(model.text_cfg.hf_model_name))
            (tower / CONFIG).write_text(json.dumps(told), encoding="utf-8")
            described["model_cfg"]["text_cfg"]["hf_model_name"] = str(tower)
        (folder / CONFIG_FILE).write_text(json.dumps(described), encoding="utf-8")
        tensors = source.weights.suffix == _SAFETENSORS
        name = WEIGHTS_FILE if tensors else "open_clip_pytorch_model.bin"
        (folder / name).symlink_to(source.weights.resolve())
        yield f"{LOCAL}{folder}"


def _tag_settings(source: Source) -> dict[str, Any]:
    if source.registered is None:
        return {}
    known: dict[str, Any] = open_clip.get_pretrained_cfg(*source.registered)
    return {
        name: known[name]
        for name in ("mean", "std", "interpolation", "resize_mode")
        if name in known
    }


def _numbers_of(weights: Path) -> int:
    """Count the numbers of a file of weights, and see to it that it holds nothing but tensors."""
    if weights.suffix == _SAFETENSORS:
        try:
            with safe_open(weights, "pt") as opened:
                shapes = [opened.get_slice(name).get_shape() for name in opened.keys()]  # noqa: SIM118
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f"{weights}: weights cannot be loaded: {error}") from error
        return sum(torch.Size(shape).numel() for shape in shapes)
    if weights.suffix in (".npz", ".npy"):
        # Of another program; NumPy reads them without unpickling.
        return weights.stat().st_size
    try:
        # open_clip reads the file by the same call, and where that ends with a TypeError again
        # without bounds; so what cannot be read within them must not come that far.
        state = torch.load(
            weights, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(weights)
        )
    except Exception as error:
        raise InputError(
            f"{weights}: weights cannot be loaded: it is damaged, or holds more than tensors and "
            f"plain values ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise InputError(f"{weights}: weights cannot be loaded: it is no table of tensors")
    return sum(one.numel() for one in state.values() if isinstance(one, torch.Tensor))


def _require_fitting(name: str, numbers: int, source: Source) -> None:
    """Refuse an architecture that is far too large for its weights, before memory is taken."""
    with torch.device("meta"):
        shape = open_clip.create_model(
            name, load_weights=False, pretrained_text=False, device="meta"
        )
    wanted = sum(one.numel() for one in shape.state_dict().values())
    if wanted > _LARGER * numbers:
        raise InputError(
            f"encoder {source.where!r} cannot be loaded: what {CONFIG_FILE} describes has "
            f"{wanted:,} numbers, its weights are {numbers:,}"
        )


def _require_finite(model: Any, source: Source) -> None:
    for name, tensor in model.state_dict().items():
        # A number that is none makes the sum none, which is quicker to be had than all answers.
        if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise InputError(f"{source.weights}: the weight {name} holds a number that is none")
    scale = getattr(model, "logit_scale", None)
    if scale is not None and not torch.isfinite(scale.exp()).all():
        raise InputError(f"{source.weights}: logit_scale is out of range")


def _enlarging(transform: Any, share: float) -> Compose:
    steps = list(transform.transforms)
    match steps[:2]:
        case [Resize(size=int(side)) as resize, CenterCrop() as crop] if set(crop.size) == {side}:
            return Compose([ResizePhotosLarger(resize, share), *steps[1:]])
    raise InputError(
        f"{PHOTO_CROP} needs a square image and the resize_mode 'shortest', not {transform}"
    )
