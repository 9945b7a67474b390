"""What can be wrong with a memory, said to the person at the keyboard."""

from __future__ import annotations


class MemoryFault(ValueError):
    """A memory cannot be used as asked; the message says why and what to do."""


class BadVectors(MemoryFault):
    """An array of vectors has the wrong shape or type, or holds a value that is not finite."""


class BadRows(MemoryFault):
    """A table of rows lacks a column, or a column has a type that a memory does not take."""


class DuplicateId(BadRows):
    """Two rows have the same id, or an id is in the memory already; the message names them."""


class EncoderMismatch(MemoryFault):
    """The memory was made with another encoder, or in another space of it."""


class NoMemory(MemoryFault):
    """The folder holds no memory."""


class FormatMismatch(MemoryFault):
    """The memory was written in a format that this release does not read."""


class CorruptMemory(MemoryFault):
    """A file of the memory is damaged or missing; the message names it."""


class MemoryBusy(MemoryFault):
    """Another writer held the memory's lock for longer than the caller would wait."""


class UnknownId(MemoryFault):
    """An id that is to be deleted is not in the memory; the message names it."""


class TargetMissed(MemoryFault):
    """An approximate index misses the recall or the latency that was asked for."""
