"""The identity of an encoder: what must be equal for two embeddings to be comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rac.images import DECODING_RULES

_NORMALISATION = "l2"


@dataclass(frozen=True)
class Besides:
    """What tells two encoders of the same weights apart, in digests; None where nothing does.

    Attributes:
        tokenizer: of the files of a tokenizer of its own.
        architecture: of what the weights do not show of an architecture that is not a usual one.
    """

    tokenizer: str | None = None
    architecture: str | None = None


def encoder_identity(
    weights: Mapping[str, torch.Tensor],
    preprocessing: Mapping[str, Any],
    lowered_precision: str | None = None,
    besides: Besides = Besides(),
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
        besides: what else there is; where there is nothing, the identity is what it was before
            this was asked for.

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
    if besides.tokenizer is not None:
        rules["tokenizer"] = besides.tokenizer
    if besides.architecture is not None:
        rules["architecture"] = besides.architecture
    digest.update(json.dumps(rules, sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
