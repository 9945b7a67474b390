"""Long tails and splits."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rac.cards.sampling import exponential_counts, grouped_split, members_of, thin_out


def test_the_published_sizes() -> None:
    """CIFAR-100-LT with imbalance 100 has 10,847 training images (Cao et al. 2019)."""
    sizes = exponential_counts(500, 100, 100)
    assert (sizes[0], sizes[-1], sum(sizes)) == (500, 5, 10_847)
    assert sizes == sorted(sizes, reverse=True)
    assert exponential_counts(6000, 10, 100)[-1] == 60


def test_thinning_is_seeded_and_keeps_the_order() -> None:
    members = members_of(["a", "b"] * 50)
    kept = thin_out(members, {"b": 20, "a": 5}, seed=1)
    assert kept == thin_out(members, {"b": 20, "a": 5}, seed=1)
    assert kept != thin_out(members, {"b": 20, "a": 5}, seed=2)
    assert [row % 2 for row in kept] == [1] * 20 + [0] * 5
    assert kept[:20] == sorted(kept[:20])


def test_small_classes() -> None:
    """One group: only trained on. Two: one to test. Three: one to each."""
    labels = ["one"] * 3 + ["two"] * 2 + ["three"] * 3
    groups = [0, 0, 0, 3, 4, 5, 6, 7]
    split = grouped_split(labels, groups, seed=0)
    assert split[:3] == ["train"] * 3
    assert sorted(split[3:5]) == ["test", "train"]
    assert sorted(split[5:]) == ["test", "train", "val"]


def test_shares() -> None:
    split = grouped_split(["a"] * 1000, list(range(1000)), seed=0)
    assert Counter(split) == {"train": 700, "val": 100, "test": 200}


rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=60)


@given(rows=rows, seed=st.integers(0, 5))
def test_groups_never_part_and_every_class_is_trained_on(
    rows: list[tuple[str, int]], seed: int
) -> None:
    labels = [label for label, _ in rows]
    groups = [group for _, group in rows]
    split = grouped_split(labels, groups, seed)
    for members in members_of(groups).values():
        assert len({split[row] for row in members}) == 1
    firsts = [members[0] for members in members_of(groups).values()]
    trained = {labels[row] for row in firsts if split[row] == "train"}
    assert trained == {labels[row] for row in firsts}
    assert split == grouped_split(labels, groups, seed)


@pytest.mark.parametrize("imbalance", [1, 10, 256])
def test_the_last_class_is_the_first_over_the_imbalance(imbalance: int) -> None:
    sizes = exponential_counts(2560, 7, imbalance)
    assert sizes[-1] == 2560 // imbalance
