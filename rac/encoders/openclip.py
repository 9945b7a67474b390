"""Encoders that open_clip builds: any model it knows, from its registry, a hub or a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from PIL import Image
from safetensors import SafetensorError
from torch import nn

from rac.encoders.base import Encoder, FloatArray
from rac.encoders.identity import encoder_identity
from rac.errors import InputError

_CONFIG = "open_clip_config.json"
_Tower = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class OpenClipEncoder(Encoder):
    """An open_clip model on one torch device, in float32."""

    def __init__(
        self,
        model: nn.Module,
        transform: Callable[[Image.Image], torch.Tensor],
        tokenizer: Callable[[list[str]], torch.Tensor],
        *,
        name: str,
        device: str,
        preprocessing: dict[str, Any],
    ) -> None:
        """Take a model in evaluation mode, its own image transform and its tokenizer."""
        self.name = name
        self.identity = encoder_identity(model.state_dict(), preprocessing)
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._transform = transform
        self._tokenizer = tokenizer
        self._encode_text: Callable[[torch.Tensor], torch.Tensor] = model.encode_text  # type: ignore[assignment]
        self._tower = two_outputs(self._model.get_submodule("visual"))
        size = preprocessing["size"]
        self.image_size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        scale = getattr(model, "logit_scale", None)
        self.logit_scale = float(scale.exp()) if scale is not None else 100.0
        with torch.inference_mode():
            blank = torch.zeros((1, 3, *self.image_size), device=self._device)
            trunk, embedding = self._tower(blank)
        self.trunk_dim, self.embedding_dim = int(trunk.shape[1]), int(embedding.shape[1])

    @classmethod
    def from_folder(cls, folder: Path, *, name: str, device: str) -> OpenClipEncoder:
        """Load from a folder in open_clip's hub layout.

        Raises:
            InputError: the folder is not in that layout, or its weights do not fit its config.
        """
        if not (folder / _CONFIG).is_file():
            raise InputError(f"{folder} is no encoder: it has no {_CONFIG}")
        return cls.from_registry(f"local-dir:{folder}", None, name=name, device=device)

    @classmethod
    def from_registry(
        cls, model_name: str, pretrained: str | None, *, name: str, device: str
    ) -> OpenClipEncoder:
        """Load what open_clip's factory knows by this name.

        Raises:
            InputError: open_clip knows no such model or weights, or could not fetch them.
        """
        if pretrained is not None:
            _check_registered(model_name, pretrained)
        try:
            # Weights are read as tensors only (safetensors, or torch.load with weights_only).
            # A model without weights is an error here, never a randomly initialised encoder.
            model, transform = open_clip.create_model_from_pretrained(
                model_name, pretrained=pretrained, device="cpu", weights_only=True
            )
            tokenizer = open_clip.get_tokenizer(model_name)
        except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"encoder {name!r} cannot be loaded: {error}") from error
        preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
        return cls(
            model, transform, tokenizer, name=name, device=device, preprocessing=preprocessing
        )

    def preprocess(self, image: Image.Image) -> FloatArray:
        """Apply the model's own evaluation transform; (3, H, W) float32."""
        pixels: FloatArray = self._transform(image).numpy()
        return pixels

    def _forward_images(self, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
        with torch.inference_mode():
            trunk, embedding = self._tower(torch.from_numpy(pixels).to(self._device))
        return _to_numpy(embedding), _to_numpy(trunk)

    def _forward_texts(self, texts: list[str]) -> FloatArray:
        tokens = self._tokenizer(texts).to(self._device)
        with torch.inference_mode():
            return _to_numpy(self._encode_text(tokens))


def two_outputs(visual: nn.Module) -> _Tower:
    """Give a function from pixels (N, 3, H, W) to (trunk features (N, T), embeddings (N, D)).

    Both come from one forward pass. Towers whose joint projection cannot be told apart give their
    embedding as trunk features.
    """
    if isinstance(visual, TimmModel):
        return lambda pixels: _timm_outputs(visual, pixels)
    if isinstance(visual, VisionTransformer) and visual.proj is not None:
        return lambda pixels: _transformer_outputs(visual, pixels)
    if isinstance(visual, ModifiedResNet):
        return lambda pixels: _resnet_outputs(visual, pixels)
    return lambda pixels: _same_twice(visual, pixels)


def _timm_outputs(visual: TimmModel, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    trunk = visual.trunk(pixels)
    embedding = visual.head(trunk)
    # An attention pool in the head leaves the trunk's output a map of positions.
    pooled = trunk.mean(dim=tuple(range(2, trunk.ndim))) if trunk.ndim > 2 else trunk
    return pooled, embedding


def _transformer_outputs(
    visual: VisionTransformer, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    projection = visual.proj
    with _attribute(visual, "proj", None):
        output = visual(pixels)
    trunk = output[0] if isinstance(output, tuple) else output
    return trunk, trunk @ projection


def _resnet_outputs(
    visual: ModifiedResNet, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    caught: list[torch.Tensor] = []
    hook = visual.attnpool.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        embedding = visual(pixels)
    finally:
        hook.remove()
    return caught[0].mean(dim=(2, 3)), embedding


def _same_twice(visual: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    output = visual(pixels)
    embedding = output[0] if isinstance(output, tuple) else output
    return embedding, embedding


@contextlib.contextmanager
def _attribute(owner: nn.Module, name: str, value: object) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def _check_registered(model_name: str, pretrained: str) -> None:
    known = open_clip.list_models()
    if model_name not in known:
        raise InputError(
            f"open_clip knows no model {model_name!r}; `rac encoders` recommends some, and "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` lists all {len(known)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    if pretrained not in tags and not Path(pretrained).is_file():
        there_are = ", ".join(tags) or "none"
        raise InputError(f"model {model_name!r} has no weights {pretrained!r}; it has: {there_are}")


def _to_numpy(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.float().cpu().numpy(), np.float32)
