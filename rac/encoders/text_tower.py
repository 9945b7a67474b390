"""The configuration of a text tower that ``transformers`` builds, as data.

Such a tower is named by a repository of the hub, whose ``config.json`` says how it is built. Its
loader follows more of that file than numbers: it can name code beside it, or kernels to be fetched.
So a few kinds of tower are known here, and of the file only what those are built by is handed on.
"""

from __future__ import annotations

import re
from typing import Any

from rac.documents import read_json
from rac.encoders.sources import Files
from rac.errors import InputError

CONFIG = "config.json"

_KINDS = ("bert", "m2m_100", "mt5", "roberta", "xlm-roberta")
_NUMBERS = {
    *("activation_dropout", "attention_dropout", "attention_probs_dropout_prob"),
    *("bos_token_id", "classifier_dropout", "d_ff", "d_kv", "d_model", "decoder_attention_heads"),
    *("decoder_ffn_dim", "decoder_layerdrop", "decoder_layers", "decoder_start_token_id"),
    *("dropout", "dropout_rate", "encoder_attention_heads", "encoder_ffn_dim"),
    *("encoder_layerdrop", "encoder_layers", "eos_token_id", "hidden_dropout_prob", "hidden_size"),
    *("init_std", "initializer_factor", "initializer_range", "intermediate_size"),
    *("is_encoder_decoder", "layer_norm_eps", "layer_norm_epsilon", "max_position_embeddings"),
    *("num_attention_heads", "num_decoder_layers", "num_heads", "num_hidden_layers", "num_layers"),
    *("pad_token_id", "relative_attention_max_distance", "relative_attention_num_buckets"),
    *("scale_embedding", "tie_word_embeddings", "type_vocab_size", "vocab_size"),
}
_WORDS = {
    "activation_function",
    "feed_forward_proj",
    "hidden_act",
    "model_type",
    "position_embedding_type",
}
_WORD = re.compile(r"[a-z0-9_-]{1,40}")
_MOST = 4_000_000


def tower_config(files: Files) -> dict[str, Any]:
    """Read what a text tower is built by.

    Args:
        files: the repository that the encoder's ``hf_model_name`` names.

    Returns:
        Numbers and words by their names in ``config.json``.

    Raises:
        InputError: there is no such file, it asks for code to be run, or it is about another kind
            of tower than those that are known here.
    """
    path = files.find(CONFIG)
    if path is None:
        raise InputError(f"{files}: no {CONFIG} there, by which the text tower would be built")
    where = f"{files}/{CONFIG}"
    said = read_json(path)
    if not isinstance(said, dict):
        raise InputError(f"{where}: should hold fields")
    refuse_code(said, where)
    kept = {name: said[name] for name in sorted((_NUMBERS | _WORDS) & set(said))}
    for name, value in kept.items():
        if name in _WORDS:
            fine = isinstance(value, str) and _WORD.fullmatch(value) is not None
        else:
            number = isinstance(value, int | float)
            fine = value is None or (number and abs(value) <= _MOST)
        if not fine:
            raise InputError(f"{where}: {name} cannot be {str(value)[:40]!r}")
    if kept.get("model_type") not in _KINDS:
        raise InputError(
            f"{where}: a text tower of the kind {kept.get('model_type')!r} is not known here, only "
            f"{', '.join(_KINDS)}"
        )
    return kept


def refuse_code(said: dict[str, Any], where: str) -> None:
    """Refuse the configuration of something that its makers build by code of their own.

    Raises:
        InputError: it has an ``auto_map``.
    """
    if "auto_map" in said:
        raise InputError(
            f"{where}: its auto_map asks for Python code from beside it to be run; encoders are "
            "data here, and nothing of theirs is run"
        )
