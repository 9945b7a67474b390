"""The floors of the filler: tasks below evidence, evidence below the model."""

from __future__ import annotations

import pytest

from tests.test_imports import imports_of, modules

# Each floor with those above it.
ABOVE = {"task": ("evidence", "model"), "evidence": ("model",)}


@pytest.mark.parametrize("floor", ABOVE)
def test_a_floor_imports_nothing_from_above(floor: str) -> None:
    here = {
        name: path
        for name, path in modules().items()
        if name.startswith(f"rac.attributes.{floor}.")
    }
    assert len(here) > 5, "the test looks at too few modules"
    forbidden = tuple(f"rac.attributes.{above}" for above in ABOVE[floor])
    wrong = [
        f"{name} imports {imported}"
        for name, path in here.items()
        for imported in imports_of(path)
        if imported.startswith(forbidden)
    ]
    assert wrong == []
