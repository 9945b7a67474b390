"""Many, medium and few: the classes by how many training rows they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from eval.arrays import Bools, Ints, as_indices
from eval.errors import ReportFault

GROUP_NAMES = ("many", "medium", "few")

Rule = Literal["thresholds", "thirds"]


@dataclass(frozen=True)
class Groups:
    """Which group each class is in, and how that was decided.

    Attributes:
        index: (C,) position in :data:`GROUP_NAMES`: 0 many, 1 medium, 2 few.
        rule: "thresholds" where the asked numbers were used, "thirds" where they left a group
            without classes and the classes were cut into thirds by training count instead.
        many_above: a class with more training rows than this is "many".
        few_below: a class with fewer training rows than this is "few".
        description: the rule in a sentence, for the page.
    """

    index: Ints
    rule: Rule
    many_above: int
    few_below: int
    description: str

    def members(self, name: str) -> Bools:
        """Mask (C,) of the classes in a group of :data:`GROUP_NAMES`."""
        mask: Bools = self.index == GROUP_NAMES.index(name)
        return mask


def assign_groups(train_counts: npt.ArrayLike, many: int = 100, few: int = 20) -> Groups:
    """Put each class into many, medium or few by its training rows.

    The convention is that of ImageNet-LT (Liu et al., CVPR 2019, arXiv 1904.05160): many is more
    than ``many`` rows, few is fewer than ``few`` rows, medium is what lies between, both ends
    included. Where that leaves a group without classes, the classes are cut into thirds by count;
    classes of equal count stay together, so a third can come out empty when counts repeat.

    Args:
        train_counts: (C,) training rows of each class, at least 0.
        many: a class with more rows than this is in "many".
        few: a class with fewer rows than this is in "few"; at most ``many`` + 1.

    Raises:
        ReportFault: a negative count, or ``few`` above ``many`` + 1.

    >>> assign_groups([500, 101, 100, 20, 19]).index
    array([0, 0, 1, 1, 2])
    >>> thirds = assign_groups([9, 8, 7, 6, 5, 4])
    >>> thirds.rule, thirds.index.tolist()
    ('thirds', [0, 0, 1, 1, 2, 2])
    """
    counts = as_indices(train_counts, "train_counts")
    if counts.size and counts.min() < 0:
        row = int(np.argmin(counts))
        raise ReportFault(f"train_counts, class {row}: {counts[row]} rows; a count is at least 0")
    if few > many + 1 or few < 0:
        raise ReportFault(
            f"few = {few} and many = {many} overlap: few must be from 0 to many + 1 rows"
        )
    index = _by_bounds(counts, many, few)
    if counts.size == 0 or np.bincount(index, minlength=3).min() > 0:
        return Groups(
            index=index,
            rule="thresholds",
            many_above=many,
            few_below=few,
            description=(
                f"many: more than {many} training rows; medium: {few} to {many}; "
                f"few: fewer than {few}"
            ),
        )
    many_above, few_below = _thirds(counts)
    return Groups(
        index=_by_bounds(counts, many_above, few_below),
        rule="thirds",
        many_above=many_above,
        few_below=few_below,
        description=(
            f"thirds of the classes by training rows, because more than {many} / fewer than {few} "
            f"leaves a group empty; many: more than {many_above}; medium: "
            f"{f'{few_below} to {many_above}' if few_below <= many_above else 'none'}; "
            f"few: fewer than {few_below}"
        ),
    )


def _by_bounds(counts: Ints, many_above: int, few_below: int) -> Ints:
    index = np.ones(len(counts), dtype=np.int64)
    index[counts > many_above] = 0
    index[counts < few_below] = 2
    return index


def _thirds(counts: Ints) -> tuple[int, int]:
    """Bounds (many_above, few_below) nearest to a cut into thirds that part no equal counts."""
    falling = np.sort(counts)[::-1]
    size = len(falling)
    changes = np.flatnonzero(np.diff(falling)) + 1
    cuts = np.concatenate([[0], changes, [size]])
    first = int(cuts[np.argmin(np.abs(cuts - size / 3))])
    second = int(cuts[np.argmin(np.abs(cuts - 2 * size / 3))])
    many_above = int(falling[first]) if first < size else int(falling[-1]) - 1
    few_below = int(falling[second - 1]) if second > 0 else int(falling[0]) + 1
    if first == second and 0 < first < size:
        # No class between the cuts: "medium" is empty, and the bounds meet around the gap.
        many_above = int(falling[first])
        few_below = many_above + 1
    return many_above, few_below
