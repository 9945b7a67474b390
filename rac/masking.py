"""Masking: known cells of a table are hidden on purpose, so that what fills them can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Cells = Mapping[str, Sequence[str | None]]


def mask_cells(
    cells: Cells, share: float, seed: int
) -> tuple[dict[str, list[str | None]], dict[str, list[int]]]:
    """Mask a share of the known cells of each attribute, drawn at random.

    Args:
        cells: for each attribute its N cells; None or an empty string where nothing is known.
        share: of each attribute's known cells, in [0, 1]; rounded to whole cells.
        seed: the same seed masks the same cells.

    Returns:
        The cells with the drawn ones None, and for each attribute the rows that were masked,
        ascending.

    Raises:
        ValueError: the share is outside [0, 1].

    >>> masked, rows = mask_cells({"colour": ["red", None, "blue"]}, 0.5, seed=0)
    >>> rows, masked["colour"].count(None)
    ({'colour': [2]}, 2)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of cells to mask is from 0 to 1, not {share}")
    generator = np.random.default_rng(seed)
    masked: dict[str, list[str | None]] = {}
    rows: dict[str, list[int]] = {}
    for attribute, column in cells.items():
        known = [row for row, cell in enumerate(column) if cell]
        drawn = generator.choice(len(known), size=round(share * len(known)), replace=False)
        rows[attribute] = sorted(known[place] for place in drawn)
        hidden = set(rows[attribute])
        masked[attribute] = [None if row in hidden else cell for row, cell in enumerate(column)]
    return masked, rows
