"""Pictures that a program holds in memory, as the encoded bytes that an image cell is made of."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageFile, ImageOps

from rac.errors import InputError
from rac.images.colour import rgb_pixels

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How such a cell is stored: the layout of a Hugging Face image."""

_CHANNELS = (1, 3, 4)
# Of a bitmap, in bytes; the padding is that of a row, at most.
_HEADING = 64
_PADDING = 3


def is_picture(cell: object) -> bool:
    """Say whether a cell is one that Arrow knows nothing of: a picture, an array or a path object.

    >>> is_picture(np.zeros((2, 2, 3), np.uint8)), is_picture("a.png")
    (True, False)
    """
    return isinstance(cell, Image.Image | np.ndarray | os.PathLike | bytearray | memoryview)


class PictureColumn:
    """N image cells of any kind; each is encoded when it is asked for.

    Attributes:
        largest: bytes that the largest of them will be, among pictures and arrays.

    Args:
        cells: pictures of PIL, arrays, bytes, paths or URLs, Hugging Face images; None, NaN or
            pandas' NA where there is none.
        where: how messages call the column.

    Raises:
        InputError: a cell is none of these, or an array is not of uint8 or not (H, W), (H, W, 1),
            (H, W, 3) or (H, W, 4); the message names the row, from 0.
    """

    def __init__(self, cells: Sequence[object], where: str) -> None:
        self._cells = list(cells)
        for row, cell in enumerate(self._cells):
            _check(cell, f"{where}, row {row}")
        self.largest = max(map(_size, self._cells), default=0)

    def __len__(self) -> int:
        return len(self._cells)

    def slice(self, start: int, length: int) -> pa.Array:
        """Give at most ``length`` cells from ``start`` on, of type :data:`CELL`."""
        return pa.array([_encoded(cell) for cell in self._cells[start : start + length]], CELL)


def _size(cell: object) -> int:
    if isinstance(cell, Image.Image):
        height, width = cell.height, cell.width
    elif isinstance(cell, np.ndarray):
        height, width = cell.shape[:2]
    else:
        return 0
    return height * (3 * width + _PADDING) + _HEADING


def _check(cell: object, where: str) -> None:
    if _is_missing(cell) or isinstance(cell, str | bytes | bytearray | memoryview | Image.Image):
        return
    if isinstance(cell, os.PathLike):
        if not isinstance(os.fspath(cell), str):
            raise InputError(f"{where}: a path must be text, not bytes")
        return
    if isinstance(cell, dict) and {"bytes", "path"} & set(cell):
        return
    wanted = "an image array is uint8, of shape (H, W), (H, W, 3) or (H, W, 4)"
    if isinstance(cell, np.ndarray):
        shaped = cell.ndim == 2 or (cell.ndim == 3 and cell.shape[2] in _CHANNELS)
        if cell.dtype != np.uint8 or not shaped:
            raise InputError(f"{where}: {wanted}, not {cell.dtype} {cell.shape}")
        return
    raise InputError(
        f"{where}: {type(cell).__name__} is no image; give a path, a URL, encoded bytes, a picture "
        f"of PIL or an array ({wanted})"
    )


def _is_missing(cell: object) -> bool:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return type(cell).__name__ in ("NAType", "NaTType")


def _encoded(cell: Any) -> dict[str, Any]:
    """Give a checked cell as Hugging Face's pair of bytes and path."""
    if _is_missing(cell):
        return {"bytes": None, "path": None}
    if isinstance(cell, dict):
        return {"bytes": cell.get("bytes"), "path": cell.get("path")}
    if isinstance(cell, str | os.PathLike):
        return {"bytes": None, "path": os.fspath(cell)}
    if isinstance(cell, bytes | bytearray | memoryview):
        return {"bytes": bytes(cell), "path": None}
    if isinstance(cell, np.ndarray):
        flat = cell[:, :, 0] if cell.ndim == 3 and cell.shape[2] == 1 else cell
        # An array without a pixel cannot be a picture of PIL.
        cell = Image.fromarray(np.ascontiguousarray(flat)) if flat.size else None
    if cell is None or 0 in cell.size:
        return {"bytes": None, "path": None}
    return {"bytes": _unread(cell) or _as_bitmap(cell), "path": None}


def _unread(picture: Image.Image) -> bytes | None:
    """Give the file of a picture whose pixels were not asked for yet; None for any other.

    Its bytes are better than its pixels: nothing is encoded again, and a file that is broken is
    told of as such.
    """
    # PIL empties the list of tiles when it has decoded them. A later frame is not the file.
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile or picture.tell():
        return None
    try:
        if picture.filename:
            return Path(os.fsdecode(picture.filename)).read_bytes()
        if picture.fp is None:
            return None
        place = picture.fp.tell()
        picture.fp.seek(0)
        data = bytes(picture.fp.read())
        picture.fp.seek(place)
    except (OSError, ValueError):  # closed, or moved away; what PIL holds of it may do
        return None
    return data


def _as_bitmap(picture: Image.Image) -> bytes:
    """Write the pixels down as they are: packing them would take longer than embedding them."""
    out = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(picture)
        # By which some pixel formats are read.
        upright.format = picture.format
        Image.fromarray(rgb_pixels(upright)).save(out, "BMP")
    except Exception as error:  # decoders raise almost every kind there is
        # Text is no image, and so the row is put aside like any other bad one.
        return f"a picture that PIL cannot decode: {error}".encode()
    return out.getvalue()
