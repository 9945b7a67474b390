"""Starts a text tower as a bag of words: each text where the mean of its tokens lies.

A transformer that begins with random layers spends most of a short training on learning to add up
its words. Which vectors for the tokens make the means fit best is a linear least-squares problem,
and the tower can be set to compute such means exactly, so training begins where it would have been
after several passes, and has only word order and what words do to each other left to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from training.mini.space import SIGHT_DIM
from training.mini.trunk import Floats

# How much a token's own place counts against the texts that hold it.
_PRIOR = 0.1
_ITERATIONS = 40
# Length of a token's own place where no text holds it, and of what all tokens share. The shared
# part keeps the first layer norm from making short and long rows alike.
_OWN = 0.8
_SHARED = 2.0


def fit_bags(
    tokens: Sequence[Sequence[int]], places: Floats, repeat: Floats, own: Floats
) -> Floats:
    """Find rows for tokens whose means lie where texts do, by ridge regression.

    Args:
        tokens: Of ``N`` texts, without start and end.
        places: ``(N, 240)`` where the texts belong.
        repeat: ``(N,)`` how much each counts.
        own: ``(V, 240)`` where each token belongs by itself.

    Returns:
        ``(V, 240)``.
    """
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
    from scipy.sparse.linalg import lsmr  # type: ignore[import-untyped]

    counts = np.array([len(text) for text in tokens])
    weight = np.sqrt(repeat)
    shares = np.repeat(weight / counts, counts)
    cells = (np.repeat(np.arange(len(tokens)), counts), np.concatenate([*map(np.asarray, tokens)]))
    bags = csr_matrix((shares, cells), shape=(len(tokens), len(own)))
    rows = own * _OWN
    left = places * weight[:, None] - bags @ rows
    for axis in range(rows.shape[1]):
        found = lsmr(bags, left[:, axis], damp=_PRIOR**0.5, maxiter=_ITERATIONS)
        rows[:, axis] += found[0]
    return np.asarray(rows, dtype=np.float32)


def start_from_bags(tower: Any, rows: Floats) -> None:
    """Set a tower of open_clip, in place, to embed a text at the mean of its tokens' rows.

    The first layer attends to all tokens alike and hands their rows on; the other layers add next
    to nothing yet.

    Args:
        tower: ``TextTransformer`` whose last two tokens are those of start and end.
        rows: ``(V, 240)``.
    """
    table = tower.token_embedding.weight
    width = table.shape[1]
    shared = torch.full((width - SIGHT_DIM,), _SHARED / (width - SIGHT_DIM) ** 0.5)
    shared[::2] *= -1  # a mean of zero: layer norm takes means off
    handed_on = torch.eye(width)
    handed_on[SIGHT_DIM:] = 0
    with torch.no_grad():
        table[:, :SIGHT_DIM] = torch.from_numpy(rows)
        table[-2:, :SIGHT_DIM] = 0
        table[:, SIGHT_DIM:] = shared
        tower.positional_embedding.normal_(std=0.003)
        for index, block in enumerate(tower.transformer.resblocks):
            block.mlp.c_proj.weight.mul_(0.01)
            block.attn.in_proj_weight[: 2 * width].mul_(0.1)
            block.attn.out_proj.weight.mul_(0.01)
            if index == 0:
                block.attn.in_proj_weight[2 * width :] = handed_on
                block.attn.out_proj.weight += 2.0 * handed_on
        tower.text_projection.normal_(std=0.002)
        tower.text_projection[:SIGHT_DIM, :SIGHT_DIM] += 0.5 * torch.eye(SIGHT_DIM)
