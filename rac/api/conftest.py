"""What the examples of the front door share: they run as printed, in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mini_encoder import mini

if TYPE_CHECKING:
    from rac.encoders import Encoder

__all__ = ["mini"]


@pytest.fixture(autouse=True)
def _examples_of_the_front_door(
    mini: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: Any, **__: Any) -> Encoder:
        return mini

    monkeypatch.setattr("rac.encoders.load_encoder", load)
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
