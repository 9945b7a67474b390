"""Headers are read strictly, and every card that is shipped is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rac.cards import list_cards, load_card
from rac.cards.card import parse_card
from rac.errors import InputError

ROOT = Path(__file__).parents[3]
NAMES = {
    "cifar100-lt", "digits", "fashion-mnist", "fashion-mnist-lt", "grocery-store",
    "grocery-store-lt", "imagenet-lt", "inat2018", "openclipart", "places-lt", "tuxpaint-stamps",
}  # fmt: skip


def test_all_cards_are_there() -> None:
    assert set(list_cards()) == NAMES
    assert {path.stem for path in (ROOT / "data_cards").glob("*.md")} == NAMES | {"README"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_card_says_what_has_to_be_known(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.license
    assert card.source.url.startswith("http")
    assert len(card.text) > 150
    assert card.column_of("image") is not None
    assert [column.name for column in card.columns][-1] == "split"
    roles = [column.role for column in card.columns if column.role is not None]
    assert len(roles) == len(set(roles))
    if card.role == "evaluation":
        assert card.column_of("label") is not None
        assert all(split.classes for split in card.splits)
    # Without a folder to look in, an archive or a package there would be no way to get it.
    assert card.obtain


def test_only_open_clip_art_is_a_training_source() -> None:
    assert [n for n in list_cards() if load_card(n).role == "training-source"] == ["openclipart"]


def test_the_fingerprint_follows_the_recipe_and_not_the_prose() -> None:
    card = load_card("digits")
    assert card.fingerprint() == card.model_copy(update={"text": "other"}).fingerprint()
    reseeded = card.model_copy(update={"recipe": card.recipe.model_copy(update={"seed": 9})})
    assert card.fingerprint() != reseeded.fingerprint()


def test_unknown_fields_are_refused_by_name() -> None:
    text = (ROOT / "data_cards" / "digits.md").read_text("utf-8")
    with pytest.raises(InputError, match="licence"):
        parse_card("digits", text.replace("license:", "licence:"))
    with pytest.raises(InputError, match="seeed"):
        parse_card("digits", text.replace("seed:", "seeed:"))
    with pytest.raises(InputError, match="YAML header"):
        parse_card("digits", "# no header\n")
    with pytest.raises(InputError, match="data card digits"):
        parse_card("digits", "---\na: [\n---\n")


def test_an_unknown_card_lists_the_cards() -> None:
    with pytest.raises(InputError, match="the cards are: cifar100-lt, digits"):
        load_card("nothing")
