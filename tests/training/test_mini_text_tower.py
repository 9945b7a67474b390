"""What the text tower learns from, and where it starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.mini.bagofwords import fit_bags, start_from_bags
from training.mini.everyday import everyday_texts, is_everyday, phrases, plural
from training.mini.recipe import GOODS, text_repeats
from training.mini.space import COLOUR_AXES, SIGHT_DIM, unit
from training.mini.texttower import Curriculum, build_tower, embed_texts, tokenizer, train_tower
from training.mini.trunk import Floats
from training.mini.wordnet import WORDNET, load_irregular_plurals, load_nouns, load_senses

TOKENS = 49408
NAMES = ["apple", "green apple", "apple juice", "orange juice", "a carton of orange juice"]


@pytest.fixture(scope="module")
def own() -> Floats:
    return unit(np.random.default_rng(0).normal(size=(TOKENS, SIGHT_DIM)))


@pytest.fixture(scope="module")
def ids() -> list[list[int]]:
    coder = tokenizer()
    return [row[1 : row.index(coder.eot_token_id)] for row in coder(NAMES).tolist()]


def bags(rows: Floats, ids: list[list[int]]) -> Floats:
    return unit(np.stack([rows[text].mean(0) for text in ids]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("carrot", "carrots"),
        ("red berry", "red berries"),
        ("toy", "toys"),
        ("ankle watch", "ankle watches"),
        ("carving knife", "carving knives"),
    ],
)
def test_plurals(name: str, expected: str) -> None:
    assert plural(name, {"knife": "knives"}) == expected


def test_phrases_end_with_a_thing_and_the_seed_repeats_them() -> None:
    made = phrases(["old"], ["harbour"], ["roof", "soup"], np.random.default_rng(1))
    assert made == phrases(["old"], ["harbour"], ["roof", "soup"], np.random.default_rng(1))
    assert {"old roof", "harbour soup", "old roof soup", "roof roof"} <= set(made)
    assert len(made) == len(set(made)) == 2 + 2 + 4 + 4


@pytest.mark.skipif(not WORDNET.exists(), reason="install Debian's wordnet-base")
def test_everyday_texts_are_of_words_that_are_tokens() -> None:
    coder = tokenizer()
    texts = everyday_texts(load_nouns(), load_senses(), coder, seed=0)
    assert {"floral", "carrots", "carve", "impressionism"} <= set(texts)
    assert "pteridophyta" not in texts
    assert all(is_everyday(text, coder) for text in texts)
    assert load_irregular_plurals()["knife"] == "knives"


def test_goods_are_drawn_often_and_definitions_seldom() -> None:
    texts = [f"good {i}" for i in range(GOODS)]
    texts += ["teapot", "pteridophyta", "a vessel to brew and pour tea from", "old roof"]
    repeat = text_repeats(texts, len(texts) - 1, tokenizer())
    assert repeat[0] == repeat[GOODS - 1] == 2.0
    assert repeat[GOODS:].tolist() == pytest.approx([2.0, 1.0, 0.4, 0.5])


def test_bags_fit_texts_that_are_means_and_keep_what_no_text_holds() -> None:
    rng = np.random.default_rng(0)
    true = unit(rng.normal(size=(40, SIGHT_DIM)))
    own = unit(rng.normal(size=(41, SIGHT_DIM)))
    texts = [rng.integers(40, size=rng.integers(1, 5)).tolist() for _ in range(400)]
    meant = bags(true, texts)
    rows = fit_bags(texts, meant, np.ones(400, np.float32), own)
    assert (bags(rows, texts) * meant).sum(1).min() > 0.95
    assert (bags(own, texts) * meant).sum(1).max() < 0.5
    np.testing.assert_allclose(unit(rows[-1:]), own[-1:], atol=1e-5)


def test_a_tower_starts_where_its_bags_of_words_lie(own: Floats, ids: list[list[int]]) -> None:
    torch.manual_seed(0)
    tower = build_tower()
    start_from_bags(tower, own)
    with torch.no_grad():
        found = embed_texts(tower, tokenizer()(NAMES))[:, :SIGHT_DIM]
    cosine = (functional.normalize(found, dim=-1).numpy() * bags(own, ids)).sum(1)
    assert cosine.min() > 0.95


def test_training_tells_apart_what_bags_cannot(own: Floats) -> None:
    """Two texts of the same words lie in one place until word order is learnt."""
    texts = ["milk chocolate", "chocolate milk", "shirt"]
    places = np.eye(3, SIGHT_DIM, dtype=np.float32)
    torch.manual_seed(0)
    tower = build_tower()
    start_from_bags(tower, own)

    def cosine() -> float:
        with torch.no_grad():
            found = embed_texts(tower, tokenizer()(texts))
        return float(found[0] @ found[1])

    assert cosine() > 0.95
    often = np.full(3, 400.0, np.float32)
    train_tower(tower, Curriculum(texts, places, often), epochs=2, seed=0, batch=16)
    assert cosine() < 0.5


def test_a_word_for_a_colour_means_only_the_colour() -> None:
    places = np.eye(2, SIGHT_DIM, dtype=np.float32)
    curriculum = Curriculum(["red", "shirt"], places, np.full(2, 500, np.float32))
    lesson = curriculum.epoch(np.random.default_rng(0))
    bare = np.array([text.lower().strip(".") == "red" for text in lesson.texts])
    assert bare.sum() > 50
    assert not lesson.targets[bare, :SIGHT_DIM].any()
    assert lesson.targets[bare][:, COLOUR_AXES].argmax(1).tolist() == [3] * int(bare.sum())
