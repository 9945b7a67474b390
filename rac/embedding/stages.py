"""What a job waited for, in seconds: the answer to "which part would make it faster?"."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Stage(StrEnum):
    """What the one thread that drives a job may be waiting for."""

    table = "table"
    """Rows of the table."""
    images = "images"
    """Images to be read, fetched and decoded."""
    network = "network"
    """The encoder."""
    disk = "disk"
    """Embeddings and results to be written."""


class Stages:
    """A stop watch for each stage.

    >>> stages = Stages()
    >>> with stages.waiting(Stage.disk):
    ...     pass
    >>> sorted(stages.seconds)
    ['disk', 'images', 'network', 'table']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {str(stage): 0.0 for stage in Stage}

    @contextmanager
    def waiting(self, stage: Stage) -> Iterator[None]:
        """Count the time inside the block for a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def between(self, stage: Stage, values: Iterable[T]) -> Iterator[T]:
        """Pass values on and count the time that each takes to come for a stage."""
        iterator = iter(values)
        end = object()
        while True:
            with self.waiting(stage):
                value = next(iterator, end)
            if value is end:
                return
            yield value  # type: ignore[misc]
