"""The text tower of an open_clip model, without padding and with each beginning read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch

_TOGETHER = 128

IntArray = npt.NDArray[np.int64]


def encode_tokens(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Give the unnormalised embeddings (N, D) of tokens (N, L), as ``model.encode_text`` does.

    Prompts are short: of the 77 places of a CLIP text tower some ten are filled. And they begin
    alike. Where each place sees only those before it, and the last filled one gives the embedding,
    what stands behind a text's end plays no part, and what texts have in common at their beginning
    comes out the same for each of them. Texts are put together into a tree of their beginnings,
    whose nodes see those above them (as in SpecInfer, Miao et al., ASPLOS 2024, section 4).
    """
    causal = isinstance(model, open_clip.CLIP) and model.attn_mask is not None
    embedded: torch.Tensor
    if not causal or model.text_pool_type != "argmax" or not len(tokens):
        embedded = model.encode_text(tokens)
        return embedded
    numbers = tokens.cpu().numpy().astype(np.int64)
    # Neighbours in this order begin alike.
    order = np.lexsort(numbers.T[::-1])
    parts = [
        _last_places(model, numbers[order[start : start + _TOGETHER]], tokens.device)
        for start in range(0, len(order), _TOGETHER)
    ]
    back = torch.from_numpy(np.argsort(order)).to(tokens.device)
    embedded = model.ln_final(torch.cat(parts)[back])
    projection = model.text_projection
    if isinstance(projection, torch.nn.Linear):
        embedded = projection(embedded)
    elif projection is not None:
        embedded = embedded @ projection
    return embedded


@dataclass(frozen=True)
class _Tree:
    """The beginnings of N texts, each once; M nodes, those above another before it.

    Attributes:
        tokens: (M,) last token of each beginning.
        places: (M,) its place in the text.
        sees: (M, M) whether a node sees another: itself, and those above it.
        ends: (N,) the node at which each text is whole.
    """

    tokens: IntArray
    places: IntArray
    sees: npt.NDArray[np.bool_]
    ends: IntArray

    @classmethod
    def of(cls, tokens: IntArray, lengths: IntArray) -> _Tree:
        """Put (N, L) tokens together, of which the first ``lengths`` count."""
        size = int(tokens.max()) + 1
        above = np.zeros(len(tokens), np.int64)
        found: list[IntArray] = []
        parents: list[IntArray] = []
        count = 0
        for place in range(int(lengths.max())):
            there = np.flatnonzero(lengths > place)
            # Nodes are numbered from 1 here; 0 is above them all.
            keys, member = np.unique(
                above[there] * size + tokens[there, place], return_inverse=True
            )
            above[there] = count + 1 + member.ravel()
            found.append(keys % size)
            parents.append(keys // size)
            count += len(keys)
        sees = np.zeros((count + 1, count + 1), np.bool_)
        first = 1
        for one in parents:
            nodes = np.arange(first, first + len(one))
            sees[nodes] = sees[one]
            sees[nodes, nodes] = True
            first += len(one)
        places = np.repeat(np.arange(len(found)), [len(one) for one in found])
        return cls(np.concatenate(found), places, sees[1:, 1:], above - 1)


def _last_places(model: Any, tokens: IntArray, device: torch.device) -> torch.Tensor:
    """Give what the transformer makes of the last place of each text: (N, width)."""
    # The token that ends a text has the highest number of all.
    ends = tokens.argmax(axis=1)
    length = int(ends.max()) + 1
    width = model.token_embedding.weight.shape[1]
    tree = _Tree.of(tokens, ends + 1)
    nodes = len(tree.tokens)
    # Multiplications of the layers and of the attention, over 4 times the width.
    if nodes * (6 * width + nodes) >= len(tokens) * length * (6 * width + length):
        whole = torch.from_numpy(tokens[:, :length]).to(device)
        x = model.token_embedding(whole) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        return torch.as_tensor(x[torch.arange(len(x)), torch.from_numpy(ends)])
    x = model.token_embedding(torch.from_numpy(tree.tokens).to(device))
    x = x + model.positional_embedding[torch.from_numpy(tree.places).to(device)]
    barred = torch.zeros((nodes, nodes), dtype=x.dtype, device=device)
    barred.masked_fill_(torch.from_numpy(~tree.sees).to(device), float("-inf"))
    x = model.transformer(x[None], attn_mask=barred)[0]
    return torch.as_tensor(x[torch.from_numpy(tree.ends).to(device)])
