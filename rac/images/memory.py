"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache


def give_back_freed_memory() -> None:
    """Let the C library give back what it keeps of freed memory, where it is one that can.

    glibc keeps freed blocks of up to 32 MB for the thread that had them, and Pillow's pictures
    consist of blocks of 16 MB: without this, each decoding thread holds on to a picture's memory
    long after the picture is gone.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Callable[[int], object] | None:
    try:
        found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return None
    return found
