"""Folders of kept files that vouch for themselves, so that flipped bits are made anew, not used."""

from __future__ import annotations

import json
from pathlib import Path

from rac.documents import read_json
from rac.errors import InputError
from retrieval_index.files import replace_file, sha256_file

DIGESTS = "sha256.json"


def vouch(folder: Path) -> None:
    """Write down the SHA-256 of each file of a folder, beside them."""
    with replace_file(folder / DIGESTS) as draft:
        draft.write_text(json.dumps(_digests(folder)), encoding="utf-8")


def is_vouched(folder: Path) -> bool:
    """Tell whether a folder holds what :func:`vouch` has seen, and nothing else."""
    if not (folder / DIGESTS).is_file():
        return False
    try:
        return bool(read_json(folder / DIGESTS) == _digests(folder))
    except (InputError, OSError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: sha256_file(path)
        for path in folder.iterdir()
        # Files that are being written begin with a dot.
        if path.is_file() and path.name != DIGESTS and not path.name.startswith(".")
    }
