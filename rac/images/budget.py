"""How much a job's images may take in memory together, however many threads decode them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DecodingBudget:
    """Bytes of memory that images in flight share; who asks for more than is left waits his turn.

    A thread that waits holds nothing, and they are served in the order in which they came, so that
    a large image is not passed over for ever. One that is larger than the whole budget is let in
    alone.

    >>> budget = DecodingBudget(100)
    >>> with budget.share(60):
    ...     budget.held
    60
    """

    def __init__(self, total: int) -> None:
        """Begin with nothing held.

        Args:
            total: bytes, above 0.
        """
        self._total = total
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @contextmanager
    def share(self, count: int) -> Iterator[None]:
        """Hold ``count`` bytes inside the block; wait until they are free."""
        mine = object()
        with self._changed:
            self._waiting.append(mine)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is mine and self._fits(count))
                self._held += count
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= count
                self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        return self._held == 0 or self._held + count <= self._total
