from __future__ import annotations

import numpy as np
import pytest

from rac.attributes.features import fill_features
from rac.attributes.schema import parse_schema
from rac.attributes.task.missingness import cells_to_mask

KINDS = ("shirt", "dress", "mug", "lamp")


def test_cells_that_are_missing_at_random_are_not_hidden() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.random((2000, 6)) < 0.5, rng.random((3000, 6)) < 0.5
    hidden = cells_to_mask(known, asked, 0)
    assert hidden.sum() < 0.03 * known.sum()
    assert not (hidden & ~known).any()


def test_full_rows_are_shown_as_poorly_as_those_asked_about() -> None:
    """Half of the rows asked about hold nothing, the others their first two of four cells."""
    known = np.ones((100, 4), bool)
    asked = np.zeros((50, 4), bool)
    asked[::2, :2] = True
    shown = known & ~cells_to_mask(known, asked, 3)
    assert (
        sorted(map(tuple, shown.tolist()))
        == [(False,) * 4] * 50 + [(True, True, False, False)] * 50
    )


def test_nothing_asked_or_no_other_column_hides_nothing() -> None:
    assert not cells_to_mask(np.ones((3, 2), bool), np.zeros((0, 2), bool), 0).any()
    assert cells_to_mask(np.ones((3, 0), bool), np.zeros((4, 0), bool), 0).shape == (3, 0)


@pytest.mark.parametrize("missing", ["whole rows", "single cells"])
def test_the_promise_is_about_the_rows_of_the_job(missing: str) -> None:
    """Regression: the shelf gives the kind away, the picture hardly does. Known cells were judged
    with the shelf in sight; new items come with a picture alone, and a fifth of their fills was
    wrong. Where single cells are missing, half of them still profit from the shelf."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 1600)
    trunk = np.eye(4)[codes] + 0.45 * rng.normal(size=(1600, 4))
    trunk = np.concatenate([trunk, 0.1 * rng.normal(size=(1600, 4))], axis=1).astype(np.float32)
    truth = [KINDS[code] for code in codes]
    shelves = [f"shelf {code}" for code in codes]
    no_kind = rng.random(1600) < 0.4
    no_shelf = no_kind if missing == "whole rows" else rng.random(1600) < 0.5
    cells = {
        "kind": [None if gone else cell for cell, gone in zip(truth, no_kind, strict=True)],
        "shelf": [None if gone else cell for cell, gone in zip(shelves, no_shelf, strict=True)],
    }
    schema = parse_schema(
        "attributes: {kind: {target_precision: 0.9}, shelf: {target_precision: 0.9}}"
    )
    kind = fill_features(schema, cells, trunk[:, :3], trunk)["kind"]
    pairs = [(kind.values[row], truth[row]) for row in kind.prediction.rows if kind.values[row]]
    right = sum(value == real for value, real in pairs)
    assert len(pairs) > 60
    assert right >= 0.88 * len(pairs)
    assert kind.summary.expected_precision == pytest.approx(right / len(pairs), abs=0.06)
    assert kind.summary.expected_coverage == pytest.approx(
        len(pairs) / len(kind.prediction.rows), abs=0.12
    )
