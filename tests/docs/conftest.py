"""What the tests of the pages share."""

from __future__ import annotations

from tests.mini_encoder import mini

__all__ = ["mini"]
