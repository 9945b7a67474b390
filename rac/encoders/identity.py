"""The identity of an encoder: what must be equal for two embeddings to be comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from rac.images import DECODING_RULES

_NORMALISATION = "l2"


def encoder_identity(
    weights: Mapping[str, torch.Tensor],
    preprocessing: Mapping[str, Any],
    lowered_precision: str | None = None,
) -> str:
    """Hash weights, preprocessing, normalisation and the version of the decoding rules.

    Neither the name an encoder was asked for by, nor the device or batch size it runs with, is
    part of it.

    Args:
        weights: the network's state by name.
        preprocessing: what is done to a decoded image (size, mean, interpolation, ...), as JSON
            can say it.
        lowered_precision: what the network computes in, where that was not checked to give the
            results of float32; None otherwise.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    rules = {
        "preprocessing": preprocessing,
        "normalisation": _NORMALISATION,
        "decoding": DECODING_RULES,
    }
    if lowered_precision is not None:
        rules["precision"] = lowered_precision
    digest.update(json.dumps(rules, sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
