"""The page of guarantees says what the tests try, and that is not little."""

from __future__ import annotations

from tests.hostile.table import PAGE, markdown, promises


def test_the_page_has_the_table_of_the_tests() -> None:
    assert markdown() in PAGE.read_text(encoding="utf-8"), "run: python -m tests.hostile.table"


def test_at_least_300_inputs_are_tried() -> None:
    assert sum(row.inputs for rows in promises().values() for row in rows) >= 300
