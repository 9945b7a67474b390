"""From an image cell to encoded bytes, and to no byte that may not be read."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from rac.images.faults import BadImage, Reason
from rac.images.limits import ImageLimits
from rac.images.stores import fetch_from_store
from rac.images.web import fetch

# A single letter before the colon is a Windows drive, not a protocol.
_PROTOCOL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]+:(//|:)|(data|file|local|javascript):", re.IGNORECASE
)


def content_hash(data: bytes) -> str:
    """Give the SHA-256 of an image's encoded bytes, in hexadecimal.

    >>> content_hash(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def is_address(cell: str) -> bool:
    """Say whether an image cell is a URL, of whatever protocol, and no path.

    >>> is_address("https://example.org/1.jpg"), is_address("photos/1.jpg")
    (True, False)
    """
    return _PROTOCOL.match(cell.strip()) is not None


def read_image_bytes(
    cell: str | bytes | None, base: str | Path | None, limits: ImageLimits | None = None
) -> bytes:
    """Read the encoded bytes that an image cell stands for.

    A path is read when, with every symbolic link followed, it lies in the table's folder or below
    one of ``limits.roots`` (absolute paths too), or when ``limits.allow_outside`` is set.

    Args:
        cell: encoded bytes, a path, an http(s) URL, a cloud store's URL, or None.
        base: the folder that relative paths start from; None where the table has no folder.
        limits: see ``ImageLimits``; None means its defaults.

    Returns:
        The bytes as they are stored; ``decode_image`` judges what they are.

    Raises:
        BadImage: for anything that is wrong with this one image.
    """
    limits = limits or ImageLimits()
    try:
        if cell is None or len(cell) == 0:
            raise BadImage(Reason.MISSING, "the image cell is empty")
        if isinstance(cell, bytes | bytearray | memoryview):
            data = bytes(cell)
            if len(data) > limits.max_bytes:
                raise BadImage(
                    Reason.TOO_MANY_BYTES,
                    f"{len(data):,} bytes; the limit is {limits.max_bytes:,}",
                )
            return data
        reference = cell.strip()
        if not reference:
            raise BadImage(Reason.MISSING, "the image cell is empty")
        if is_address(reference):
            return _read_url(reference, limits)
        return _read_file(_locate(cell, base, limits), cell, limits)
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(Reason.UNREADABLE, f"{type(error).__name__}: {error}") from error


def _read_url(url: str, limits: ImageLimits) -> bytes:
    protocol = url.partition(":")[0].lower()
    if protocol in ("http", "https"):
        return fetch(url, limits)
    if protocol in ("file", "local"):
        raise BadImage(
            Reason.BLOCKED_PATH, f"{protocol}: addresses are not read; write a path instead"
        )
    return fetch_from_store(url, limits)


def _locate(cell: str, base: str | Path | None, limits: ImageLimits) -> Path:
    if "\0" in cell:
        raise BadImage(Reason.MISSING, "the path holds a NUL character")
    if base is None and not os.path.isabs(cell):
        raise BadImage(
            Reason.BLOCKED_PATH, "a relative path, and this table has no folder it could start from"
        )
    folder = Path(base) if base is not None else Path("/")
    path = Path(os.path.realpath(folder / cell))
    if "\\" in cell and not path.exists():
        # Catalogues written on Windows.
        path = Path(os.path.realpath(folder / cell.replace("\\", "/")))
    if limits.allow_outside:
        return path
    allowed = [Path(os.path.realpath(root)) for root in limits.roots]
    if base is not None:
        allowed.append(Path(os.path.realpath(base)))
    if not any(path.is_relative_to(root) for root in allowed):
        raise BadImage(
            Reason.BLOCKED_PATH,
            f"{path} lies outside the table's folder; allow its folder with "
            f"--image-root {path.parent}",
        )
    return path


def _read_file(path: Path, cell: str, limits: ImageLimits) -> bytes:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadImage(Reason.MISSING, f"there is no file {cell}") from error
    except OSError as error:
        raise BadImage(Reason.UNREADABLE, f"{cell}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadImage(Reason.UNREADABLE, f"{cell} is not a file")
        if status.st_size > limits.max_bytes:
            raise BadImage(
                Reason.TOO_MANY_BYTES,
                f"{status.st_size:,} bytes; the limit is {limits.max_bytes:,}",
            )
        # One byte more than allowed: the file may be growing.
        data = handle.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise BadImage(Reason.TOO_MANY_BYTES, f"more than {limits.max_bytes:,} bytes")
    return data
