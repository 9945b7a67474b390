"""The filler's benchmark on a small made-up catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from rac.bench.fill import (
    NOT_APPLICABLE_WORD,
    Catalogue,
    absent_f1,
    promise_kept,
    single_sources,
)
from rac.bench.fill_speed import attribute_cost, million_rows
from tests.toy import ToyEncoder


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 6, 700)
    trunk = np.eye(6)[codes] + 0.15 * rng.normal(size=(700, 6))
    packaged = codes >= 4

    def told(values: list[str]) -> list[str | None]:
        return [
            values[code % 2] if there else NOT_APPLICABLE_WORD
            for code, there in zip(codes, packaged, strict=True)
        ]

    return Catalogue(
        cells={
            "department": ["packages" if there else "fruit" for there in packaged],
            "product": [f"product {code // 2}" for code in codes],
            "variety": [f"variety {code}" for code in codes],
            "packaging": told(["carton", "tub"]),
            "brand": told(["Arla", "Oatly"]),
        },
        embedding=trunk[:, :3].astype(np.float32),
        trunk=trunk.astype(np.float32),
        ok=np.ones(700, np.bool_),
        embed_seconds=None,
    )


def test_precision_coverage_and_what_does_not_apply(catalogue: Catalogue) -> None:
    kept = promise_kept(catalogue, ToyEncoder(), seed=0, target=0.9)
    assert list(kept) == list(catalogue.cells)
    for one in kept.values():
        assert one.precision is not None
        assert one.precision > 0.9
        assert 0.8 < one.coverage <= 1
        assert 0.8 < one.reach <= 1
    f1 = absent_f1(kept)
    assert f1 is not None
    assert f1 > 0.95


def test_items_that_have_nothing_but_a_picture(catalogue: Catalogue) -> None:
    kept = promise_kept(catalogue, ToyEncoder(), seed=0, target=0.9, whole_rows=True)
    for one in kept.values():
        assert one.precision is not None
        assert one.precision > 0.9
        assert one.coverage > 0.8


def test_neighbours_reach_further_than_prompts_that_say_nothing(catalogue: Catalogue) -> None:
    alone = single_sources(catalogue, ToyEncoder(), seeds=[0], target=0.9)
    assert alone["neighbours"][0]["product"].reach > 0.9 > alone["zero_shot"][0]["product"].reach


def test_a_large_table_is_filled_from_stored_embeddings() -> None:
    found = million_rows(ToyEncoder(), rows=3000, attributes=2)
    assert found["rows"] == 3000
    assert found["missing"] == pytest.approx(1200, abs=150)
    assert found["filled"] <= found["missing"]
    assert found["rows_per_s"] > 0


def test_one_attribute_and_many_are_timed(catalogue: Catalogue) -> None:
    assert set(attribute_cost(catalogue, ToyEncoder(), many=3)) == {"1", "3"}
