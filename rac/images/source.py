"""From an image cell to encoded bytes, and to no byte that may not be read."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from functools import lru_cache
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
        _check_type(cell)
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


def _check_type(cell: object) -> None:
    """Refuse what a table of any kind may hold in the place of an image."""
    if isinstance(cell, float) and math.isnan(cell):
        raise BadImage(Reason.MISSING, "the image cell is empty")
    if cell is not None and not isinstance(cell, str | bytes | bytearray | memoryview):
        raise BadImage(
            Reason.UNREADABLE,
            f"an image cell holds bytes, a path or an address, not {type(cell).__name__}",
        )


def _read_url(url: str, limits: ImageLimits) -> bytes:
    protocol = url.partition(":")[0].lower()
    if protocol in ("http", "https"):
        return fetch(url, limits)
    if protocol in ("file", "local"):
        raise BadImage(
            Reason.BLOCKED_PATH, f"{protocol}: addresses are not read; write a path instead"
        )
    return fetch_from_store(url, limits)


def _locate(cell: str, base: str | Path | None, limits: ImageLimits) -> str:
    if "\0" in cell:
        raise BadImage(Reason.MISSING, "the path holds a NUL character")
    if base is None and not os.path.isabs(cell):
        raise BadImage(
            Reason.BLOCKED_PATH, "a relative path, and this table has no folder it could start from"
        )
    folder = os.fspath(base) if base is not None else "/"
    path = _real_path(os.path.join(folder, cell))
    if "\\" in cell and not os.path.exists(path):
        # Catalogues written on Windows.
        path = _real_path(os.path.join(folder, cell.replace("\\", "/")))
    if limits.allow_outside:
        return path
    roots = limits.roots if base is None else (base, *limits.roots)
    allowed = (_real_folder(os.fspath(root)) for root in roots)
    if not any(path == root or path.startswith(root.rstrip("/") + "/") for root in allowed):
        raise BadImage(
            Reason.BLOCKED_PATH,
            f"{path} lies outside the table's folder; allow its folder with "
            f"--image-root {os.path.dirname(path)}",
        )
    return path


def _real_path(path: str) -> str:
    """Follow every symbolic link; a folder's links are followed once for all of its files."""
    folder, name = os.path.split(path)
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    found = os.path.join(_real_folder(folder), name)
    return os.path.realpath(found) if os.path.islink(found) else found


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _read_file(path: str, cell: str, limits: ImageLimits) -> bytes:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        # O_NOFOLLOW: links were followed before the path was judged; one that is there now is new.
        descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadImage(Reason.MISSING, f"there is no file {cell}") from error
    except OSError as error:
        raise BadImage(Reason.UNREADABLE, f"{cell}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadImage(Reason.UNREADABLE, f"{cell} is not a file")
        if status.st_size > limits.max_bytes:
            raise BadImage(
                Reason.TOO_MANY_BYTES,
                f"{status.st_size:,} bytes; the limit is {limits.max_bytes:,}",
            )
        data = _read_all(descriptor, status.st_size, limits.max_bytes)
    finally:
        os.close(descriptor)
    if len(data) > limits.max_bytes:
        raise BadImage(Reason.TOO_MANY_BYTES, f"more than {limits.max_bytes:,} bytes")
    return data


def _read_all(descriptor: int, expected: int, most: int) -> bytes:
    """Read to the end, and not far past ``most`` bytes: the file may be growing."""
    data = os.read(descriptor, expected + 1)
    if len(data) == expected:
        return data
    pieces = [data]
    while data and sum(map(len, pieces)) <= most:
        data = os.read(descriptor, 1 << 20)
        pieces.append(data)
    return b"".join(pieces)
