"""Long tails and splits, drawn with a seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Class = TypeVar("Class", bound=Hashable)


def exponential_counts(largest: int, classes: int, imbalance: float) -> list[int]:
    """Give class sizes that fall exponentially from the first class to the last.

    ``n_i = floor(largest * imbalance ** (-i / (classes - 1)))``, as in Cui et al., Class-Balanced
    Loss Based on Effective Number of Samples (CVPR 2019), section 4.

    Args:
        largest: images of the first class.
        classes: how many classes, at least 2.
        imbalance: first class over last class, at least 1.

    >>> exponential_counts(500, 3, 100)
    [500, 50, 5]
    """
    # The small addend keeps 500 * 100 ** -1 from falling to 4.999...
    return [int(largest * imbalance ** (-place / (classes - 1)) + 1e-9) for place in range(classes)]


def thin_out(
    members: Mapping[Class, Sequence[int]], counts: Mapping[Class, int], seed: int
) -> list[int]:
    """Draw so many members of each class, classes in the order of ``counts``.

    Args:
        members: class to row numbers.
        counts: class to how many are kept, at most as many as there are.
        seed: of Python's generator, whose ``sample`` is the same on every machine.

    Returns:
        The row numbers kept, class by class, ascending within each.

    >>> thin_out({"a": [0, 1, 2], "b": [3, 4]}, {"a": 3, "b": 1}, seed=0)
    [0, 1, 2, 4]
    """
    draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
    kept: list[int] = []
    for name, count in counts.items():
        kept.extend(sorted(draw.sample(list(members[name]), count)))
    return kept


def members_of(labels: Sequence[Class]) -> dict[Class, list[int]]:
    """Give each class's row numbers, classes in the order of their first row.

    >>> members_of(["b", "a", "b"])
    {'b': [0, 2], 'a': [1]}
    """
    members: dict[Class, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    return dict(members)


def grouped_split(
    labels: Sequence[str],
    groups: Sequence[int],
    seed: int,
    *,
    val: float = 0.1,
    test: float = 0.2,
) -> list[str]:
    """Split rows class by class, and keep rows of one group together.

    A class of one group is only trained on; one of two gives one to the test; from three on each
    split has at least one.

    Args:
        labels: (N,) classes; a group counts for the class of its first row.
        groups: (N,) which rows are so alike that they must not be torn apart.
        seed: of the draw.
        val: share of a class's rows in ``val``.
        test: share of a class's rows in ``test``.

    Returns:
        (N,) ``train``, ``val`` or ``test``.
    """
    by_group = members_of(groups)
    of_class: dict[str, list[int]] = defaultdict(list)
    for group, rows in by_group.items():
        of_class[labels[rows[0]]].append(group)
    draw = random.Random(seed)  # noqa: S311 - a split, not a secret
    split = ["train"] * len(labels)
    for label in sorted(of_class):
        pool = sorted(of_class[label])
        draw.shuffle(pool)
        rows_of_class = sum(len(by_group[group]) for group in pool)
        for name, share in (("test", test), ("val", val)):
            if len(pool) < 2:
                break
            for group in _fill(pool, by_group, max(1, round(share * rows_of_class))):
                pool.remove(group)
                for row in by_group[group]:
                    split[row] = name
    return split


def _fill(pool: Sequence[int], by_group: Mapping[int, Sequence[int]], wanted: int) -> list[int]:
    """Take groups in order while they fit into ``wanted`` rows; the smallest where none fits."""
    taken: list[int] = []
    for group in pool:
        if len(by_group[group]) <= wanted and len(taken) < len(pool) - 1:
            taken.append(group)
            wanted -= len(by_group[group])
    return taken or [min(pool, key=lambda group: len(by_group[group]))]
