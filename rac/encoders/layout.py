"""How a folder holds an encoder: open_clip's hub layout, with the weights beside the config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval_index.files import replace_file

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE = "open_clip_config.json"
"""What makes a folder an encoder."""

WEIGHTS_FILE = "open_clip_model.safetensors"
"""The weights beside it."""

LOCAL = "local-dir:"
"""What stands before a folder in open_clip's names."""

PHOTO_CROP = "photo_crop_pct"
"""Our own key among its ``preprocess_cfg``; open_clip passes it over."""


def write_folder(
    folder: Path,
    weights: dict[str, Tensor],
    config: Mapping[str, Any],
    tokenizer: Mapping[str, Path] | None = None,
) -> Path:
    """Write an encoder, each file whole; the config comes last, without it there is no encoder.

    Args:
        folder: to write to; made if missing, and what it held of an encoder is replaced.
        weights: by open_clip's names, contiguous, none sharing another's memory.
        config: ``model_cfg`` and ``preprocess_cfg``, as open_clip's hub layout has them.
        tokenizer: files to be copied beside them under these names, where the encoder has a
            tokenizer of its own.

    Returns:
        The folder.
    """
    from safetensors.torch import save_file

    (folder / CONFIG_FILE).unlink(missing_ok=True)
    with replace_file(folder / WEIGHTS_FILE) as draft:
        save_file(weights, draft, metadata={"format": "pt"})
    for name, path in (tokenizer or {}).items():
        with replace_file(folder / name) as draft:
            draft.write_bytes(path.read_bytes())
    with replace_file(folder / CONFIG_FILE) as draft:
        draft.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder
