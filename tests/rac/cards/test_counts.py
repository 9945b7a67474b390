"""The counts on the cards are those of the data, for all data that is on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from rac.cards import find_source, list_cards, load_card, prepare_card, read_prepared
from rac.images import decode_image, read_image_bytes
from rac.tables import open_table


@pytest.mark.parametrize("name", list_cards())
def test_counts(name: str, tmp_path: Path) -> None:
    card = load_card(name)
    if find_source(card) is None:
        pytest.skip(f"{name}: its files are not on this machine")
    state = read_prepared(prepare_card(card, tmp_path / "out"))
    assert state is not None
    assert state.differences == ()
    assert state.rows == {split.name: split.rows for split in card.splits}


def test_at_least_one_card_is_always_checked() -> None:
    assert find_source(load_card("digits")) is not None


def test_the_long_tail_is_the_known_one(tmp_path: Path) -> None:
    """The rule of the card gives the list that was once drawn, image by image."""
    card = load_card("grocery-store-lt")
    source = find_source(card)
    if source is None or not (source / "train_lt.txt").is_file():
        pytest.skip("grocery-store-lt: no train_lt.txt on this machine")
    prepare_card(card, tmp_path / "cache" / "data")
    table = open_table("grocery-store-lt:train")
    items = [item for batch in table.batches() for item in table.items(batch)]
    lines = (source / "train_lt.txt").read_text().splitlines()
    assert [item.image for item in items] == [line.split(",")[0] for line in lines]
    assert decode_image(read_image_bytes(items[0].image, table.base)).mode == "RGB"
    coarse = open_table("grocery-store-lt:train", label="coarse")
    labels = {item.label for batch in coarse.batches() for item in coarse.items(batch)}
    assert len(labels) == 43
