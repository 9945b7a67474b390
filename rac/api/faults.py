"""One pair of exceptions for whoever calls from Python, whatever room a fault comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eval.errors import ReportFault
from rac.errors import InputError
from retrieval_index.errors import MemoryFault


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Turn the faults of memories and reports into :class:`rac.InputError`, their message kept.

    >>> with as_input_errors():
    ...     raise MemoryFault("the folder holds no memory")
    Traceback (most recent call last):
    rac.errors.InputError: the folder holds no memory
    """
    try:
        yield
    except (MemoryFault, ReportFault) as fault:
        raise InputError(str(fault)) from fault
