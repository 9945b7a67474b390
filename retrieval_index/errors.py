"""What can be wrong with a memory, said to the person at the keyboard."""

from __future__ import annotations


class MemoryFault(ValueError):
    """A memory cannot be used as asked; the message says why and what to do."""
