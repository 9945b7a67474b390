"""Missingness: rows that are predicted are shown as poorly as the rows that are to be filled.

A new item often comes with a picture and nothing else, while the items that a shop has worked on
are nearly full. Were a known cell predicted with all the other cells of its row in sight, the
promise would be about rows that are not in the job. So cells of predicted rows are masked until as
many are left as there are in the rows that are asked about; where cells are missing at random, none
are.

Letters of shapes: J predicted rows, Q rows asked about, B other columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


def cells_to_mask(known: BoolArray, asked: BoolArray, seed: int) -> BoolArray:
    """Choose the cells of predicted rows to mask, so that their fullness is that of asked rows.

    The predicted row of each rank by number of known cells is matched with the asked row of that
    rank, and loses the cells that it has too many, those first that the asked row lacks too.

    Args:
        known: (J, B) whether the cells of predicted rows are known.
        asked: (Q, B) the same of rows that are asked about; with none, nothing is masked.
        seed: of the choice among equals.

    Returns:
        (J, B) which known cells to mask.

    >>> full, poor = np.ones((2, 3), bool), np.array([[False] * 3, [True, False, True]])
    >>> (full & ~cells_to_mask(full, poor, 0)).tolist()
    [[False, False, False], [True, False, True]]
    """
    if not known.size or not len(asked):
        return np.zeros(known.shape, np.bool_)
    draw = np.random.default_rng(seed)
    models = _by_fullness(asked, draw)
    # Ranks of J rows among Q.
    models = models[np.linspace(0, len(models) - 1, len(known)).round().astype(np.int64)]
    rows = _by_fullness(known, draw)
    wanted = np.empty((len(known), known.shape[1]), np.bool_)
    wanted[rows] = asked[models]
    kept = np.minimum(known.sum(axis=1), wanted.sum(axis=1))
    # Known cells come first, among them those that the model has, the rest by lot.
    worth = 4.0 * known + 2.0 * wanted + draw.random(known.shape)
    place = np.argsort(np.argsort(-worth, axis=1), axis=1)
    return np.asarray(known & (place >= kept[:, None]))


def _by_fullness(rows: BoolArray, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give the rows' numbers, those with the fewest cells first, equals in random order."""
    shuffled = draw.permutation(len(rows))
    return shuffled[np.argsort(rows[shuffled].sum(axis=1), kind="stable")]
