"""A tokenizer of a few words, and a tiny encoder that brings it along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "cat", ".")
UNKNOWN = {"unk_token": "[UNK]"}
SETTINGS: dict[str, Any] = {
    "pad_token": "[PAD]",
    "sep_token": {"content": "[SEP]"},
    "padding_side": "right",
}


def tables(words: tuple[str, ...] = WORDS) -> bytes:
    """What ``tokenizer.json`` says."""
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, **UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def description(**text: Any) -> dict[str, Any]:
    """What ``open_clip_config.json`` says of an encoder with that tokenizer."""
    vision = {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16}
    words = {
        "context_length": 12,
        "vocab_size": len(WORDS),
        "width": 32,
        "heads": 2,
        "layers": 1,
        "hf_tokenizer_name": "org/words",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        **text,
    }
    return {
        "model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": words},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"},
    }


def write_encoder(folder: Path, **text: Any) -> Path:
    """Write an encoder of random weights with a tokenizer of its own."""
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(description(**text)))
    (folder / "tokenizer.json").write_bytes(tables())
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    return folder
