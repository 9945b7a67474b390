"""Each test prepares into its own folder and sees no data of this machine unless it asks."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path
