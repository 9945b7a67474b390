"""Encoders that need no network of neurons, behind the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import rac.encoders
from tests.toy import ToyEncoder


@pytest.fixture
def toy_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--encoder`` names toys: the name is their identity."""
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))

    def load(name: str = "mini", **_: object) -> ToyEncoder:
        toy = ToyEncoder(identity="70" + name.encode().hex())
        toy.name = name
        return toy

    monkeypatch.setattr(rac.encoders, "load_encoder", load)
