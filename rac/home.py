"""Where this user's files lie: prepared data, cached embeddings."""

from __future__ import annotations

import os
from pathlib import Path

from rac.errors import InputError


def cache_home() -> Path:
    """Give the writable folder for what can be made again: ``$RAC_CACHE_HOME`` or ``~/.cache/rac``.

    The folder is not created.

    Raises:
        InputError: neither says where it is.
    """
    given = os.environ.get("RAC_CACHE_HOME")
    try:
        return Path(given).expanduser() if given else Path.home() / ".cache" / "rac"
    except RuntimeError as error:
        raise InputError(
            f"nobody knows where your home folder is ({error}); set RAC_CACHE_HOME to a folder"
        ) from error


def make_private(folder: Path) -> None:
    """Make a folder of ours that its owner alone may look into; one that is there stays as it is.

    Args:
        folder: to be made; so are those above it, readable as the user's umask says.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
