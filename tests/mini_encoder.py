"""The embedded encoder, loaded once for all tests of a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rac.encoders import Encoder


@pytest.fixture(scope="session")
def mini() -> Encoder:
    """The embedded encoder; in torch, for measuring runtimes takes a minute."""
    return _loaded()


@cache
def _loaded() -> Encoder:
    from rac.encoders import load_encoder

    return load_encoder("mini", runtime="torch")
