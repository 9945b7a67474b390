"""Hiding known cells of a table on purpose, so that what fills them can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Cells = Mapping[str, Sequence[str | None]]


def blank_cells(
    cells: Cells, share: float, seed: int
) -> tuple[dict[str, list[str | None]], dict[str, list[int]]]:
    """Blank a share of the known cells of each attribute, drawn at random.

    Args:
        cells: for each attribute its N cells; None or an empty string where nothing is known.
        share: of each attribute's known cells, in [0, 1]; rounded to whole cells.
        seed: the same seed blanks the same cells.

    Returns:
        The cells with the drawn ones None, and for each attribute the rows that were blanked,
        ascending.

    Raises:
        ValueError: the share is outside [0, 1].

    >>> blanked, rows = blank_cells({"colour": ["red", None, "blue"]}, 0.5, seed=0)
    >>> rows, blanked["colour"].count(None)
    ({'colour': [2]}, 2)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of cells to blank is from 0 to 1, not {share}")
    generator = np.random.default_rng(seed)
    blanked: dict[str, list[str | None]] = {}
    rows: dict[str, list[int]] = {}
    for attribute, column in cells.items():
        known = [row for row, cell in enumerate(column) if cell]
        drawn = generator.choice(len(known), size=round(share * len(known)), replace=False)
        rows[attribute] = sorted(known[place] for place in drawn)
        hidden = set(rows[attribute])
        blanked[attribute] = [None if row in hidden else cell for row, cell in enumerate(column)]
    return blanked, rows
