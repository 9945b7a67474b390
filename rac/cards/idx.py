"""The idx format of MNIST and its kin."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rac.errors import JobFailed

_MOST_BYTES = 1 << 30


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or not.

    Args:
        path: the file.
        dimensions: how many the array should have.

    Raises:
        JobFailed: the file is broken or of another shape.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as handle:
            data = handle.read(_MOST_BYTES)
    except (OSError, EOFError) as error:
        raise JobFailed(f"{path}: {error}") from error
    if data[:4] != bytes((0, 0, 8, dimensions)):
        raise JobFailed(f"{path}: not an idx file of bytes with {dimensions} dimensions")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, 4).astype(np.int64).tolist())
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if values.size != int(np.prod(shape)):
        raise JobFailed(f"{path}: {values.size:,} values where {shape} were announced")
    return values.reshape(shape)
