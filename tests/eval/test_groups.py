from __future__ import annotations

import numpy as np
import pytest

from eval.errors import ReportFault
from eval.groups import GROUP_NAMES, assign_groups
from tests.reference import figures


@pytest.mark.parametrize("seed", range(20))
def test_bounds_are_exclusive_above_many_and_below_few(seed):
    counts = np.random.default_rng(seed).integers(0, 300, 60)
    groups = assign_groups(counts)
    assert groups.rule == "thresholds"
    assert [GROUP_NAMES[i] for i in groups.index] == [figures.group_of(c, 100, 20) for c in counts]


@pytest.mark.parametrize("seed", range(30))
def test_thirds_follow_the_counts_and_their_own_bounds(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 15, rng.integers(1, 30))
    groups = assign_groups(counts)
    assert groups.rule == "thirds"
    bounds = groups.many_above, groups.few_below
    assert [GROUP_NAMES[i] for i in groups.index] == [figures.group_of(c, *bounds) for c in counts]
    for one, other in zip(counts, groups.index, strict=True):
        assert (groups.index[counts == one] == other).all(), "equal counts were parted"
        assert (groups.index[counts > one] <= other).all(), "a larger class is in a rarer group"


def test_thirds_are_thirds_where_counts_differ():
    groups = assign_groups(np.arange(30, 0, -1))
    assert np.bincount(groups.index).tolist() == [10, 10, 10]


def test_all_counts_equal_leave_two_groups_empty():
    assert assign_groups([7, 7, 7, 7]).index.tolist() == [1, 1, 1, 1]


def test_two_counts_leave_the_middle_empty():
    assert assign_groups([5, 5, 5, 1, 1, 1]).index.tolist() == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize("arguments", [([1, -1],), ([1, 2], 10, 12), ([1.5],)])
def test_what_cannot_be_grouped_is_refused(arguments):
    with pytest.raises(ReportFault):
        assign_groups(*arguments)
