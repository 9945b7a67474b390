"""The text tower of an open_clip model, without the padding."""

from __future__ import annotations

from typing import Any

import open_clip
import torch


def encode_tokens(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Give the unnormalised embeddings (N, D) of tokens (N, L), as ``model.encode_text`` does.

    Prompts are short: of the 77 places of a CLIP text tower some ten are filled. Where each place
    sees only those before it, and the last filled one gives the embedding, what stands behind the
    longest text of a batch is left out of the computation.
    """
    causal = isinstance(model, open_clip.CLIP) and model.attn_mask is not None
    embedded: torch.Tensor
    if not causal or model.text_pool_type != "argmax":
        embedded = model.encode_text(tokens)
        return embedded
    # The token that ends a text has the highest number of all.
    ends = tokens.argmax(dim=1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    embedded = model.ln_final(x)[torch.arange(len(x), device=x.device), ends]
    projection = model.text_projection
    if isinstance(projection, torch.nn.Linear):
        embedded = projection(embedded)
    elif projection is not None:
        embedded = embedded @ projection
    return embedded
