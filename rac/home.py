"""Where this user's files lie: prepared data, cached embeddings."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """Give the writable folder for what can be made again: ``$RAC_CACHE_HOME`` or ``~/.cache/rac``.

    The folder is not created.
    """
    given = os.environ.get("RAC_CACHE_HOME")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "rac"
