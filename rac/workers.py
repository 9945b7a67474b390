"""Threads that each do work of their own with numerical libraries."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rac.cores import usable_cores


@contextmanager
def single_threads(workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Give a pool in whose threads the numerical libraries start no threads of their own.

    On a busy machine, threads that wait for each other made many small problems 30 times slower
    than one thread is. OpenMP keeps its limit for each thread, so every worker sets its own.

    Args:
        workers: threads; one for each core that this process may use if None.
    """
    import torch

    before = torch.get_num_threads()

    def begin() -> None:
        threadpool_limits(limits=1)
        torch.set_num_threads(1)

    try:
        with (
            threadpool_limits(limits=1),
            ThreadPoolExecutor(workers or usable_cores(), initializer=begin) as pool,
        ):
            yield pool
    finally:
        # What a thread sets is also the number that torch's threads to come begin with.
        torch.set_num_threads(before)
