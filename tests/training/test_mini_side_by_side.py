"""Worker processes make what this process would, in order."""

from __future__ import annotations

import os

import pytest
import torch

from training.mini.sidebyside import made_side_by_side


@pytest.mark.parametrize("workers", [0, 2])
def test_everything_comes_in_order_and_as_it_was_made(workers: int) -> None:
    words = ["a", "b", "c", "d", "e"]
    made = list(made_side_by_side(lambda index: (index, words[index]), 5, workers))
    assert made == list(enumerate(words))


def test_workers_are_other_processes() -> None:
    makers = set(made_side_by_side(lambda _: os.getpid(), 8, 2))
    assert len(makers) == 2
    assert os.getpid() not in makers


def test_a_resumed_run_draws_what_a_fresh_one_draws() -> None:
    """Whether something had to be made does not move torch's own generator."""
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(made_side_by_side(str, 3, 0))
    assert torch.rand(1) == expected


def test_a_failure_in_a_worker_is_a_failure_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(made_side_by_side(lambda index: 1 // index, 2, 1))
