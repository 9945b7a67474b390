"""Workers compute alone, and leave the libraries' threads as they were."""

from __future__ import annotations

import faiss
import pytest
import torch

from rac.workers import single_threads


@pytest.mark.parametrize("asked", [None, 2])
def test_libraries_have_one_thread_in_workers_and_theirs_again_after(asked: int | None) -> None:
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    try:
        if asked is not None:
            torch.set_num_threads(asked)
        own = torch.get_num_threads(), faiss.omp_get_max_threads()
        with single_threads(3) as pool:
            told = list(pool.map(lambda _: threads_of_a_product(), range(6)))
        assert told == [(1, 1)] * 6
        assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == own
    finally:
        torch.set_num_threads(before[0])
        faiss.omp_set_num_threads(before[1])


def threads_of_a_product() -> tuple[int, int]:
    numbers = torch.ones(64, 64)
    assert bool((numbers @ numbers == 64).all())
    return torch.get_num_threads(), faiss.omp_get_max_threads()
