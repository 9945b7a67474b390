"""A hub that lies on this machine: the cache of one, filled by hand, and no network behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import huggingface_hub.constants
import pytest

COMMIT = "0" * 40


def offline_hub(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Let repositories be found in a folder, and nowhere else."""
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home))
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def write_repository(home: Path, name: str, files: Mapping[str, bytes], missing: str = "") -> Path:
    """Write what was fetched of a repository; ``missing`` are names that the hub said it has not.

    Returns:
        The folder with its files.
    """
    folder = home / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file, content in files.items():
        (snapshot / file).write_bytes(content)
    absent = folder / ".no_exist" / COMMIT
    absent.mkdir(parents=True)
    for file in missing.split():
        (absent / file).touch()
    return snapshot
