"""What the examples of the docstrings share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rac.encoders import Encoder


@pytest.fixture(scope="session")
def mini() -> Encoder:
    """The embedded encoder, loaded once; in torch, for measuring runtimes takes a minute."""
    from rac.encoders import load_encoder

    return load_encoder("mini", runtime="torch")


@pytest.fixture(autouse=True)
def _examples_of_the_front_door(request: pytest.FixtureRequest) -> Iterator[None]:
    """Examples of :mod:`rac.api` run as they are printed, in a folder of their own."""
    module = getattr(request.node, "dtest", None)
    if module is None or not module.name.startswith("rac.api."):
        yield
        return
    encoder = request.getfixturevalue("mini")
    folder: Path = request.getfixturevalue("tmp_path")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")

    def load(*_: Any, **__: Any) -> Encoder:
        return encoder

    patch.setattr("rac.encoders.load_encoder", load)
    patch.setenv("RAC_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    yield
