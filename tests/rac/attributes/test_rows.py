"""What other cells of a row say: whether an attribute applies, and which values it may take."""

from __future__ import annotations

import numpy as np

from rac.attributes.features import code_cells, fill_features
from rac.attributes.rows import APPLIES, NOT, UNTOLD
from rac.attributes.schema import parse_schema
from tests.toy import ToyEncoder

SCHEMA = """
attributes:
  department: {target_precision: 0.9}
  sleeve:
    target_precision: 0.9
    applies_when: {department: [shirts]}
    not_applicable: none
"""


def shop(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Shirts with long or short sleeves, and mugs: trunk features, departments, sleeves."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, rows)
    trunk = np.eye(3)[codes] + 0.1 * rng.normal(size=(rows, 3))
    department = ["mugs" if code == 2 else "shirts" for code in codes]
    sleeve = [("long", "short", "none")[code] for code in codes]
    trunk = np.concatenate([trunk, 0.1 * rng.normal(size=(rows, 5))], axis=1)
    return trunk.astype(np.float32), department, sleeve


def test_an_attribute_applies_where_all_conditions_hold() -> None:
    schema = parse_schema(SCHEMA)
    cells = {
        "department": ["shirts", "mugs", None, "SHIRTS", "?"],
        "sleeve": [None, None, None, "long", "none"],
    }
    coded = code_cells(schema, cells, 5)
    assert coded.applies(schema.attributes["sleeve"]).tolist() == [
        APPLIES, NOT, UNTOLD, APPLIES, UNTOLD,
    ]  # fmt: skip


def test_a_cell_gets_a_value_or_does_not_apply_or_nobody_can_tell() -> None:
    trunk, department, sleeve = shop()
    rng = np.random.default_rng(5)
    blank = {name: rng.random(len(trunk)) < 0.4 for name in ("department", "sleeve")}
    cells = {
        "department": [None if b else c for c, b in zip(department, blank["department"],
                                                        strict=True)],
        # Nobody writes "none": a mug's cell is simply empty.
        "sleeve": [None if b or c == "none" else c
                   for c, b in zip(sleeve, blank["sleeve"], strict=True)],
    }  # fmt: skip
    done = fill_features(parse_schema(SCHEMA), cells, trunk[:, :3], trunk)["sleeve"]
    answered = wrong = absent = 0
    for row in np.flatnonzero([cell is None for cell in cells["sleeve"]]):
        mug = department[row] == "mugs"
        assert not (done.values[row] and done.absent[row])
        if cells["department"][row] == "mugs":
            assert done.absent[row]
        answered += bool(done.values[row]) or bool(done.absent[row])
        absent += bool(done.absent[row]) and mug
        wrong += bool(done.absent[row]) != mug if done.values[row] or done.absent[row] else 0
    assert answered > 200
    assert wrong <= 0.03 * answered
    assert absent > 0.9 * sum(name == "mugs" for name in department)


def test_a_row_takes_only_values_of_its_category() -> None:
    """The picture of every mug is red; only where the category allows it is it filled so."""
    text = """
    attributes:
      colour:
        values: [red, green, blue]
        target_precision: 0.9
        candidates: {by: category, values: {grass: [green], mug: [red, blue]}}
    """
    schema = parse_schema(text)
    vectors = np.tile(np.array([[0.8, -0.4, -0.4]], np.float32), (6, 1))
    cells: dict[str, list[str | None]] = {
        "colour": [None] * 6,
        "category": ["mug", "grass", None, "mug", "grass", "other"],
    }
    done = fill_features(schema, cells, vectors, vectors, encoder=ToyEncoder())["colour"]
    assert done.best == ["red", "green", "red", "red", "green", "red"]
