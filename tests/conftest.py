"""What holds for all tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of killed writers come first.

    Processes are forked and waited for there, best while few libraries have started threads.
    """
    items.sort(key=lambda item: "retrieval_index/test_versions.py" not in item.nodeid)
