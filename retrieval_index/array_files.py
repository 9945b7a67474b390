"""``.npy`` files, read with their header checked against what the file holds.

NumPy's own reader reserves what a header announces before it looks how much there is. Here a
header is believed only where it announces exactly the bytes that follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from retrieval_index.arrays import FloatArray
from retrieval_index.files import open_regular

Array: TypeAlias = npt.NDArray[Any]

_MOST_HEADER: Final = 10_000


class BadArrayFile(ValueError):
    """A file is no ``.npy`` of numbers, or holds less or more than it announces."""


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of a ``.npy`` says.

    Attributes:
        shape: of the array.
        dtype: of its numbers; never of Python objects.
        order: ``C`` where they lie row by row, ``F`` where column by column.
        offset: where the numbers begin, in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int


def read_header(handle: IO[bytes], length: int) -> ArrayHeader:
    """Read the header of a ``.npy`` at the beginning of an open file of ``length`` bytes.

    Raises:
        BadArrayFile: it is none, is not of plain numbers, or does not announce exactly the bytes
            that follow.
    """
    try:
        version = np.lib.format.read_magic(handle)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(handle, max_header_size=_MOST_HEADER)
    except Exception as fault:
        # The header is a Python literal: what its parser can raise is no short list.
        raise BadArrayFile("is not a .npy file of numbers") from fault
    offset = handle.tell()
    if dtype.kind not in "fiu":
        raise BadArrayFile(f"holds {dtype}, not plain numbers")
    if any(side < 0 for side in shape):
        raise BadArrayFile(f"announces the shape {shape}")
    announced = prod(shape) * dtype.itemsize
    if announced != length - offset:
        raise BadArrayFile(
            f"announces {dtype} of shape {shape}, {announced} bytes, and holds {length - offset}"
        )
    return ArrayHeader(shape, dtype, "F" if fortran else "C", offset)


def open_array(path: str | Path) -> Array:
    """Map the array of a ``.npy`` file; one without numbers is given from RAM.

    Raises:
        BadArrayFile: see ``read_header``; or the file cannot be read.
    """
    try:
        with open_regular(path) as handle:
            length = handle.seek(0, 2)
            handle.seek(0)
            header = read_header(handle, length)
            if 0 in header.shape:
                return np.empty(header.shape, dtype=header.dtype)
            mapped: Array = np.memmap(
                handle,
                dtype=header.dtype,
                mode="r",
                offset=header.offset,
                shape=header.shape,
                order=header.order,
            )
            return mapped
    except OSError as fault:
        raise BadArrayFile(f"cannot be read ({fault.strerror or fault})") from fault


def write_array(handle: IO[bytes], array: Array) -> None:
    """Write a ``.npy`` file of an array; a full disk is an ``OSError`` that says so."""
    np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(array))
    handle.write(np.ascontiguousarray(array).data)


class ArrayWriter:
    """A ``.npy`` of float32 rows whose number is not known before the end."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._rows = 0
        self._dim = 0

    def append(self, block: FloatArray) -> None:
        """Write (M, D) rows below those that are there."""
        if not self._dim:
            self._dim = block.shape[1]
            self._header()
        self._handle.write(np.ascontiguousarray(block).data)
        self._rows += len(block)

    def finish(self) -> None:
        """Write the number of rows into the header, which has room for it."""
        end = self._handle.tell()
        self._handle.seek(0)
        self._header()
        self._handle.seek(end)

    def _header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._handle,
            {"descr": "<f4", "fortran_order": False, "shape": (self._rows, self._dim)},
        )


@contextmanager
def array_writer(path: Path) -> Iterator[ArrayWriter]:
    """Open a ``.npy`` of float32 rows for writing; it is finished where the block does not raise.

    The rows come block by block.
    """
    with open(path, "wb") as handle:
        file = ArrayWriter(handle)
        yield file
        file.finish()
