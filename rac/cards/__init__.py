"""Data cards: known data sets, described in ``data_cards/`` and prepared as tables."""

from __future__ import annotations

from rac.cards.card import Card, list_cards, load_card
from rac.cards.prepare import (
    Prepared,
    open_card_table,
    prepare,
    prepare_card,
    prepared_home,
    read_prepared,
)
from rac.cards.sources import data_home, find_source

__all__ = [
    "Card",
    "Prepared",
    "data_home",
    "find_source",
    "list_cards",
    "load_card",
    "open_card_table",
    "prepare",
    "prepare_card",
    "prepared_home",
    "read_prepared",
]
