"""Everyday words, their plurals and phrases made of them: what most names of goods consist of.

The lists of names that the recipe has do not hold ``carrots`` or ``solid potato``. A small text
tower learns how words go together only if it is shown many that do, and knows a word only if it
has met it. Everyday are the words for which CLIP's byte-pair encoding has a token of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from training.mini.wordnet import Synset, load_irregular_plurals, load_lemmas

# Lexicographer files of what is bought, kept or grown: animals, artifacts, food, plants.
_COUNTED = frozenset((5, 6, 13, 20))
# Phrases that are drawn: "modern roof", "harbour soup", "crisp apple pie", "milk jug".
_DRAWN = {"described": 30_000, "specified": 20_000, "both": 10_000, "paired": 10_000}


def is_everyday(text: str, coder: Any) -> bool:
    """Whether each word of a text is one token.

    Args:
        text: Words with spaces between them.
        coder: open_clip's byte-pair tokenizer.
    """
    return all(f"{word}</w>" in coder.encoder for word in text.lower().split())


def plural(name: str, irregular: Mapping[str, str]) -> str:
    """Say a name's plural.

    >>> plural("red berry", {}), plural("box", {}), plural("knife", {"knife": "knives"})
    ('red berries', 'boxes', 'knives')
    """
    before, space, last = name.rpartition(" ")
    if last in irregular:
        return before + space + irregular[last]
    if re.search(r"[^aeiou]y$", last):
        return f"{before}{space}{last[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|z|ch|sh)$", last) else f"{name}s"


def everyday_words(words: Iterable[str], coder: Any) -> list[str]:
    """Keep the everyday ones of three letters or more."""
    return [word for word in words if len(word) > 2 and is_everyday(word, coder)]


def goods(
    names: Sequence[str], nouns: Mapping[str, Synset], senses: Mapping[str, Sequence[str]]
) -> list[str]:
    """Keep the names that mean, in one of their two most usual senses, what can be counted."""
    return [
        name
        for name in names
        if any(nouns[key].lexfile in _COUNTED for key in senses.get(name, ())[:2])
    ]


def phrases(
    described_by: Sequence[str],
    specified_by: Sequence[str],
    things: Sequence[str],
    rng: np.random.Generator,
) -> list[str]:
    """Draw phrases at random.

    Args:
        described_by: Adjectives.
        specified_by: Nouns of any kind.
        things: Nouns to end with.
        rng: Draws them.

    Returns:
        Distinct phrases of two or three words, sorted.
    """

    def some(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    made = [f"{some(described_by)} {some(things)}" for _ in range(_DRAWN["described"])]
    made += [f"{some(specified_by)} {some(things)}" for _ in range(_DRAWN["specified"])]
    made += [f"{some(described_by)} {some(things)} {some(things)}" for _ in range(_DRAWN["both"])]
    made += [f"{some(things)} {some(things)}" for _ in range(_DRAWN["paired"])]
    return sorted(set(made))


def everyday_texts(
    nouns: Mapping[str, Synset], senses: Mapping[str, Sequence[str]], coder: Any, seed: int
) -> list[str]:
    """List everyday words of every kind, plurals of goods, and random phrases.

    Args:
        nouns: WordNet's noun senses by key.
        senses: Their keys by lower-case name.
        coder: open_clip's byte-pair tokenizer.
        seed: Of the draws.
    """
    adjectives = everyday_words(load_lemmas("adj"), coder)
    names = everyday_words(senses, coder)
    things = goods(names, nouns, senses)
    irregular = load_irregular_plurals()
    plurals = everyday_words([plural(name, irregular) for name in things], coder)
    single = [[word for word in words if " " not in word] for words in (adjectives, names, things)]
    made = phrases(single[0], single[1], single[2], np.random.default_rng(seed))
    verbs = everyday_words(load_lemmas("verb"), coder)
    return list(dict.fromkeys([*adjectives, *names, *verbs, *plurals, *made]))
