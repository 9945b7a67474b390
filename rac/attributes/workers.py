"""Threads that each do work of their own with numerical libraries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def single_threads(workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Give a pool in whose threads the numerical libraries start no threads of their own.

    On a busy machine, threads that wait for each other made many small problems 30 times slower
    than one thread is. OpenMP keeps its limit for each thread, so every worker sets its own.

    Args:
        workers: threads; one for each processor if None.
    """
    limit = partial(threadpool_limits, limits=1)
    with limit(), ThreadPoolExecutor(workers or os.cpu_count() or 1, initializer=limit) as pool:
        yield pool
