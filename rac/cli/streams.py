"""Standard output and error of the command line: that they break does not undo a job.

A job of many hours whose result cannot be printed, since the reader of a pipe has gone or the disk
of a redirected output is full, is still done: its files lie where it said. So what cannot be
written is given up, the command goes on, and the end says what was lost.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class _Stream(io.FileIO):
    """A descriptor to write to; after the first fault, what is written is dropped.

    Attributes:
        fault: the first fault; None while there was none.
    """

    def __init__(self, descriptor: int, fault: OSError | None = None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.fault = fault

    def write(self, data: Buffer, /) -> int:
        """Write as a file does, or pretend to."""
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as fault:
                self.fault = fault
        return memoryview(data).nbytes


class Output:
    """What has become of standard output while the block of :func:`kept_going` runs."""

    def __init__(self, raw: _Stream | None) -> None:
        """Take what is written to; None where nobody looks after it."""
        self._raw = raw

    def lost(self) -> tuple[int, str] | None:
        """Flush, and say whether something could not be written.

        Returns:
            The exit code of a command that has otherwise succeeded and what to say, or None where
            all was written. A reader that goes before the end has what it wanted (``| head``): 0.
            Where output was to be kept and could not be, 1.
        """
        sys.stdout.flush()
        fault = None if self._raw is None else self._raw.fault
        if fault is None:
            return None
        said = f"standard output: {fault.strerror}; the work is done, but not all could be printed"
        return (0 if fault.errno == errno.EPIPE else 1), said


@contextmanager
def kept_going() -> Iterator[Output]:
    """Make standard output and error such that a fault of theirs is no fault of the work.

    Streams that are not the interpreter's own (a notebook's, a test's) are left as they are.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "wb") as nowhere:
        raw, sys.stdout = _wrapped(before[0], nowhere.fileno())
        _, sys.stderr = _wrapped(before[1], nowhere.fileno())
        try:
            yield Output(raw)
        finally:
            for stream in {sys.stdout, sys.stderr} - {*before}:
                stream.flush()
            sys.stdout, sys.stderr = before


def _wrapped(stream: TextIO | None, nowhere: int) -> tuple[_Stream | None, TextIO]:
    """Give what is under a text stream to the same descriptor, and that text stream."""
    if stream is None:  # the interpreter found its descriptor closed
        raw = _Stream(nowhere, OSError(errno.EBADF, "it is closed"))
        return raw, io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    # Unbuffered ones (PYTHONUNBUFFERED) have the file itself under them.
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(
        stream.buffer, io.BufferedWriter | io.FileIO
    ):
        return None, stream
    stream.flush()
    raw = _Stream(stream.fileno())
    return raw, io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
