"""Encoders that open_clip builds: any model it knows, from its registry, a hub or a folder."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from torch import nn

from rac.encoders.base import Encoder, FloatArray
from rac.encoders.config import architecture_told
from rac.encoders.factory import build_model, without_logging
from rac.encoders.identity import Besides, encoder_identity
from rac.encoders.layout import PHOTO_CROP
from rac.encoders.preprocessing import byte_steps
from rac.encoders.runtimes.base import Runtime
from rac.encoders.runtimes.choose import choose_runtime
from rac.encoders.sources import find_source
from rac.encoders.texts import encode_tokens
from rac.encoders.tokenizer import Tokenize, load_tokenizer
from rac.encoders.towers import ImageTower
from rac.errors import InputError
from rac.images import Pixels


@dataclass(frozen=True)
class RunOptions:
    """Where and how the network runs.

    Attributes:
        device: torch device.
        runtime: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``. A lower one asked for by
            name is not checked against float32, so it becomes part of the encoder's identity.
    """

    device: str = "cpu"
    runtime: str = "auto"
    precision: str = "auto"


class OpenClipEncoder(Encoder):
    """An open_clip model; texts run in torch and float32, images in the runtime chosen."""

    def __init__(
        self,
        model: nn.Module,
        transform: Any,
        tokenizer: Tokenize,
        photo_crop: float = 1.0,
        *,
        name: str,
        options: RunOptions,
        besides: Besides = Besides(),  # noqa: B008  it is frozen
    ) -> None:
        """Take a model on the CPU, its own evaluation transform, its tokenizer, and what else its
        identity is made of.
        """
        preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
        if photo_crop != 1:
            preprocessing[PHOTO_CROP] = photo_crop
        lowered = options.precision if options.precision not in ("auto", "float32") else None
        self.name = name
        self.identity = encoder_identity(model.state_dict(), preprocessing, lowered, besides)
        self._options = options
        self._device = torch.device(options.device)
        self._model = model.eval().requires_grad_(False)
        self._preprocess = byte_steps(transform)
        self._tokenizer = tokenizer
        self._tower = ImageTower(
            model.get_submodule("visual"), preprocessing["mean"], preprocessing["std"]
        ).eval()
        self._runtime: Runtime | None = None
        self._choosing = threading.Lock()
        size = preprocessing["size"]
        self.image_size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        scale = getattr(model, "logit_scale", None)
        self.logit_scale = float(scale.exp()) if scale is not None else 100.0
        with torch.inference_mode():
            trunk, embedding = self._tower(torch.zeros((1, 3, *self.image_size), dtype=torch.uint8))
        self.trunk_dim, self.embedding_dim = int(trunk.shape[1]), int(embedding.shape[1])
        self._model.to(self._device)

    @classmethod
    def load(
        cls, model_name: str, pretrained: str | None, *, name: str, options: RunOptions
    ) -> OpenClipEncoder:
        """Load what open_clip's factory knows by this name.

        Raises:
            InputError: open_clip knows no such model or weights, could not fetch them, they are
                damaged or do not fit, or they ask for more than data.
        """
        with without_logging():
            source = find_source(model_name, pretrained)
            described = source.config.model_cfg
            tokenizer, tokenizer_told = load_tokenizer(described.text_cfg, source.files)
            model, transform, photo_crop = build_model(source)
        besides = Besides(tokenizer_told, architecture_told(described))
        return cls(
            model, transform, tokenizer, photo_crop, name=name, options=options, besides=besides
        )

    @property
    def runtime(self) -> str | None:
        """What runs the network; None before it has run."""
        return None if self._runtime is None else str(self._runtime.choice)

    def preprocess(self, pixels: Pixels) -> Pixels:
        """Apply the model's own resizing and cropping; (3, H, W) uint8."""
        return self._preprocess(pixels)

    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        with self._choosing:
            # Not before the first image: a job whose embeddings are all known needs no network.
            if self._runtime is None:
                self._runtime = choose_runtime(
                    self._tower,
                    self.identity,
                    self.image_size,
                    self._device,
                    runtime=self._options.runtime,
                    precision=self._options.precision,
                )
            trunk, embedding = self._runtime(pixels)
        return embedding, trunk

    def _forward_texts(self, texts: list[str]) -> FloatArray:
        tokens = self._tokenizer(texts)
        known = getattr(self._model, "vocab_size", None)
        highest = int(tokens.max()) if tokens.numel() else 0
        if known is not None and highest >= int(known):
            raise InputError(
                f"encoder {self.name!r}: its tokenizer gives the token {highest}, and its text "
                f"tower knows {int(known)}"
            )
        tokens = tokens.to(self._device)
        with torch.inference_mode():
            return _to_numpy(encode_tokens(self._model, tokens))


def _to_numpy(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.float().cpu().numpy(), np.float32)
