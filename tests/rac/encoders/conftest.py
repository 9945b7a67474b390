from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny_models import VISIONS, write_tiny_model


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Writes a hub-layout folder with random weights of a tiny model."""
    return write_tiny_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder for each kind of image tower."""
    home = tmp_path_factory.mktemp("models")
    return {vision: write_tiny_model(home / vision, vision) for vision in VISIONS}


@pytest.fixture(scope="session", params=VISIONS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Each kind of image tower in turn."""
    return folders[request.param]
