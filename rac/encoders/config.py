"""What an encoder's ``open_clip_config.json`` may say: the keys and values that are known, no more.

The file comes from a folder or a hub, and open_clip hands much of it on to loaders of other
libraries as it stands. So it is read here first, key by key; what is passed on is what was read.

Keys that name something to be fetched or built, and what becomes of them:

- ``timm_model_name`` names one of timm's own architectures; a hub or a folder in its place is
  refused. ``timm_model_pretrained`` and ``hf_model_pretrained`` are heard by nobody: the encoder's
  own weights are the only ones.
- ``hf_tokenizer_name`` and ``hf_model_name`` name a repository of the hub, of which data files are
  read (:mod:`rac.encoders.tokenizer`, :mod:`rac.encoders.text_tower`); a path is refused.
- ``tokenizer_kwargs`` reach the tokenizers' loader in open_clip, which they can tell to run what
  lies beside the tokenizer. Of them only ``clean`` and ``strip_sep_token`` are known.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rac.documents import faults_of, read_json
from rac.encoders.layout import CONFIG_FILE, PHOTO_CROP
from rac.encoders.load import mini_folder
from rac.errors import InputError

Width = Annotated[int, Field(ge=1, le=32_768)]
Count = Annotated[int, Field(ge=1, le=4_096)]
Layers = Annotated[int, Field(ge=1, le=512)]
Side = Annotated[int, Field(ge=1, le=4_096)]
Sides = Side | tuple[Side, Side]
Vocabulary = Annotated[int, Field(ge=1, le=4_000_000)]
Ratio = Annotated[float, Field(gt=0, le=64)]
Share = Annotated[float, Field(ge=0, lt=1)]
Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
Level = Annotated[float, Field(ge=-1e3, le=1e3)]
TokenId = Annotated[int, Field(ge=0, le=4_000_000)]
Repository = Annotated[
    str, Field(pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*$")
]
"""A name of the hub's, ORG/NAME or NAME."""

#: Keys without a say in what a network computes: they are about training, or about weights that
#: are not loaded. The image's side is told by the preprocessing.
_SILENT = {
    "vision_cfg": {
        "image_size",
        "patch_dropout",
        "timm_model_pretrained",
        "timm_drop",
        "timm_drop_path",
    },
    "text_cfg": {"hf_model_pretrained"},
}


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NormOptions(_Known):
    """Of a layer normalisation."""

    eps: Annotated[float, Field(gt=0, le=1)] | None = None


class ActivationOptions(_Known):
    """Of the activation."""

    approximate: Literal["none", "tanh"] | None = None


class TokenizerOptions(_Known):
    """Of the tokenizer.

    Attributes:
        clean: how a text is tidied up before.
        strip_sep_token: whether the separator becomes padding.
    """

    clean: Literal["canonicalize", "lower", "whitespace"] | None = None
    strip_sep_token: bool = False


class _Blocks(_Known):
    """What both towers say of their transformer's blocks."""

    mlp_ratio: Ratio = 4.0
    ls_init_value: Finite | None = None
    final_ln_after_pool: bool = False
    output_tokens: bool = False
    act_kwargs: ActivationOptions | None = None
    norm_kwargs: NormOptions | None = None
    block_type: Literal["default", "custom"] | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False


class VisionConfig(_Blocks):
    """The image tower, by the names and defaults of ``open_clip.model.CLIPVisionCfg``."""

    layers: Layers | tuple[Layers, Layers, Layers, Layers] = 12
    width: Width = 768
    head_width: Width = 64
    patch_size: Side | None = 16
    image_size: Sides = 224
    patch_dropout: Share = 0.0
    attentional_pool: bool | Literal["parallel", "cascade"] = False
    attn_pooler_queries: Count = 256
    attn_pooler_heads: Count = 8
    no_ln_pre: bool = False
    pos_embed_type: Literal["learnable", "sin_cos_2d"] = "learnable"
    pool_type: Literal["tok", "avg", "none"] = "tok"
    timm_model_name: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,100}$")] | None = None
    timm_model_pretrained: bool = False
    timm_pool: Annotated[str, Field(pattern=r"^[a-z_]{0,20}$")] = "avg"
    timm_proj: Literal["linear", "mlp", "none", ""] | None = "linear"
    timm_proj_bias: bool = False
    timm_drop: Share = 0.0
    timm_drop_path: Share | None = None


class TextConfig(_Blocks):
    """The text tower, by the names and defaults of ``open_clip.model.CLIPTextCfg``."""

    context_length: Count = 77
    vocab_size: Vocabulary = 49_408
    hf_tokenizer_name: Repository | Literal[""] | None = None
    tokenizer_mode: Literal["clips", ""] | None = None
    tokenizer_kwargs: TokenizerOptions | None = None
    width: Width = 512
    heads: Count = 8
    layers: Layers = 12
    embed_cls: bool = False
    pad_id: TokenId = 0
    eos_id: TokenId = 2
    no_causal_mask: bool = False
    pool_type: Literal["first", "last", "argmax", "eos", "none"] = "argmax"
    proj_bias: bool = False
    proj_type: Literal["linear", "none"] = "linear"
    hf_model_name: Repository | None = None
    hf_model_pretrained: bool = True
    hf_proj_type: Literal["linear", "mlp"] | None = "mlp"
    hf_pooler_type: (
        Literal["mean_pooler", "max_pooler", "cls_pooler", "cls_last_hidden_state_pooler"] | None
    ) = "mean_pooler"


class DecoderConfig(TextConfig):
    """The text decoder of a CoCa model, by the names of ``open_clip.coca_model.MultimodalCfg``."""

    dim_head: Width = 64
    n_queries: Count = 256
    attn_pooler_heads: Count = 8


class ModelConfig(_Known):
    """An architecture, as open_clip's own ``model_configs`` have it."""

    embed_dim: Width
    vision_cfg: VisionConfig
    text_cfg: TextConfig
    multimodal_cfg: DecoderConfig | None = None
    quick_gelu: bool = False
    custom_text: bool = False
    init_logit_scale: Level | None = None
    init_logit_bias: Level | None = None
    nonscalar_logit_scale: bool = False
    pad_id: TokenId = 0

    def said(self) -> dict[str, Any]:
        """Give what was said, without the defaults of what was not."""
        return self.model_dump(mode="json", exclude_unset=True)

    def digest(self) -> str:
        """Give a SHA-256 over what has a say in what the network computes of its weights."""
        told = self.model_dump(mode="json", exclude=_SILENT)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class PreprocessConfig(_Known):
    """What is done to an image, by the names of ``open_clip.transform.PreprocessCfg``.

    Attributes:
        photo_crop_pct: our own; see :class:`rac.encoders.framing.ResizePhotosLarger`.
    """

    size: Sides | None = None
    mode: Literal["RGB"] | None = None
    mean: tuple[Level, Level, Level] | None = None
    std: (
        tuple[
            Annotated[float, Field(gt=1e-6, le=1e3)],
            Annotated[float, Field(gt=1e-6, le=1e3)],
            Annotated[float, Field(gt=1e-6, le=1e3)],
        ]
        | None
    ) = None
    interpolation: Literal["bicubic", "bilinear", "random"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None
    fill_color: Annotated[int, Field(ge=0, le=255)] | None = None
    photo_crop_pct: Annotated[float, Field(gt=0, le=1)] | None = None

    def said(self) -> dict[str, Any]:
        """Give what was said and open_clip knows."""
        return self.model_dump(mode="json", exclude_none=True, exclude={PHOTO_CROP})


class EncoderConfig(_Known):
    """What ``open_clip_config.json`` says."""

    model_cfg: ModelConfig
    preprocess_cfg: PreprocessConfig = PreprocessConfig()


def read_encoder_config(path: Path) -> EncoderConfig:
    """Read an encoder's configuration.

    Raises:
        InputError: there is none, or it says something that is not known here; the message names
            the key.
    """
    return check_encoder_config(read_json(path), str(path))


def check_encoder_config(described: Any, where: str) -> EncoderConfig:
    """Take a configuration that was read from JSON.

    Args:
        described: of any shape.
        where: what it is, for messages.

    Raises:
        InputError: it says something that is not known here; the message names the key.
    """
    try:
        # Strict where JSON tells types apart: no number in a string, but a list for a tuple.
        return EncoderConfig.model_validate_json(json.dumps(described))
    except ValidationError as fault:
        raise InputError(
            f"{where}: is not the configuration of an encoder as open_clip writes it: "
            f"{faults_of(fault)}"
        ) from fault


def architecture_told(model: ModelConfig) -> str | None:
    """Give what an encoder's identity has to say of the architecture; None where weights say it.

    Numbers of heads, epsilons and the like change what a network computes, and are not to be seen
    in its weights. Those of open_clip's own architectures and of ``mini`` are fixed, so the
    identities of such encoders are of their weights alone.

    Returns:
        A SHA-256, or None.
    """
    digest = model.digest()
    return None if digest in _shipped() else digest


@cache
def _shipped() -> frozenset[str]:
    import open_clip

    own = [
        check_encoder_config({"model_cfg": open_clip.get_model_config(name)}, name)
        for name in open_clip.list_models()
    ]
    mini = read_encoder_config(mini_folder() / CONFIG_FILE)
    return frozenset(one.model_cfg.digest() for one in (*own, mini))
