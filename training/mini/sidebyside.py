"""Makes many things in worker processes, in order; by torch's data loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

Made = TypeVar("Made")


class _Numbered(Dataset[Made]):
    def __init__(self, make: Callable[[int], Made], count: int) -> None:
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Made:
        return self._make(index)


def _as_it_is(made: Made) -> Made:
    return made


def made_side_by_side(make: Callable[[int], Made], count: int, workers: int) -> Iterator[Made]:
    """Yield ``make(0)``, ``make(1)`` and so on up to ``count``, each made by one of the workers.

    Args:
        make: May close over anything: workers are forks of this process. Its result travels pickled
            between processes of this program.
        count: How many.
        workers: Processes; 0 makes everything here.
    """
    loader = DataLoader(
        _Numbered(make, count),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        prefetch_factor=16 if workers else None,
        multiprocessing_context="fork" if workers else None,
        # Else each loader draws from torch's own generator, and a resumed run from another place.
        generator=torch.Generator(),
    )
    yield from loader
