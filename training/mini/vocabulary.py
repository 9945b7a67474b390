"""The texts that the text tower learns: names of things, kinds, descriptions and captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from training.mini.colours import COLOUR_SYNONYMS, PATTERN_SYNONYMS
from training.mini.pictures import Picture
from training.mini.wordnet import VISIBLE, Synset

# What a caption says beside the thing; the tower learns to look past it.
TEMPLATES = (
    "{}",
    "{}.",
    "a {}",
    "the {}",
    "an image of {}",
    "a photo of a {}.",
    "a photo of a {}",
    "a picture of a {}",
    "a photo of the {}.",
    "a photo of {}",
    "a photo of some {}",
    "a drawing of a {}",
    "clip art of a {}",
    "an icon of a {}",
    "a close-up photo of a {}.",
    "a cropped photo of a {}",
    "a photo of one {}",
    "many {}",
    "this is a {}.",
    "{} on a white background",
    "a photo of a {} in a shop",
    "a product photo of a {}",
    "a blurry photo of a {}",
    "a good photo of a {}",
    "an item of type {}",
    "category: {}",
)

_FLAVOURS = (
    "apple",
    "orange",
    "grapefruit",
    "strawberry",
    "vanilla",
    "blueberry",
    "raspberry",
    "chocolate",
    "lemon",
    "mango",
    "peach",
    "cherry",
    "banana",
    "honey",
    "coconut",
    "mint",
    "tomato",
    "garlic",
    "tropical",
    "natural",
)
_GOODS = (
    "juice",
    "yoghurt",
    "yogurt",
    "milk",
    "cream",
    "ice cream",
    "jam",
    "tea",
    "cake",
    "sauce",
    "soup",
    "candy",
    "cookies",
    "drink",
    "smoothie",
    "cereal",
    "soda",
    "pudding",
    "syrup",
    "crisps",
)
_PACKS = (
    "a carton of {}",
    "a bottle of {}",
    "a pack of {}",
    "a jar of {}",
    "a can of {}",
    "{} box",
)
_MAKES = (
    "cotton",
    "leather",
    "wool",
    "denim",
    "silk",
    "wooden",
    "metal",
    "plastic",
    "glass",
    "paper",
)
_CUTS = (
    "long-sleeved",
    "short-sleeved",
    "sleeveless",
    "hooded",
    "women's",
    "men's",
    "kids'",
    "casual",
    "running",
    "winter",
    "summer",
)
GARMENTS = (
    "shirt",
    "t-shirt",
    "T-shirt top",
    "tee",
    "top",
    "polo shirt",
    "blouse",
    "sweater",
    "pullover",
    "jumper",
    "cardigan",
    "hoodie",
    "sweatshirt",
    "jacket",
    "coat",
    "raincoat",
    "blazer",
    "suit",
    "dress",
    "skirt",
    "trousers",
    "pants",
    "jeans",
    "leggings",
    "shorts",
    "socks",
    "tights",
    "shoes",
    "sneakers",
    "trainers",
    "boots",
    "ankle boots",
    "sandals",
    "heels",
    "slippers",
    "hat",
    "cap",
    "beanie",
    "scarf",
    "gloves",
    "belt",
    "tie",
    "bag",
    "handbag",
    "backpack",
    "purse",
    "watch",
    "sunglasses",
    "underwear",
    "bra",
    "swimsuit",
    "bikini",
    "pyjamas",
    "robe",
    "apron",
    "vest",
    "longsleeve",
    "long-sleeved shirt",
    "outerwear",
    "undershirt",
    "necklace",
    "ring",
    "earrings",
    "bracelet",
)


def compounds() -> list[str]:
    """Names of goods that no dictionary lists: flavour and good, pack and good, cut and garment."""
    made = [f"{flavour} {good}" for flavour in _FLAVOURS for good in _GOODS]
    made += [pack.format(good) for pack in _PACKS for good in _GOODS]
    made += [pack.format(f"{f} {g}") for pack in _PACKS[:3] for f in _FLAVOURS for g in _GOODS[:8]]
    made += [f"{word} {garment}" for word in (*_CUTS, *_MAKES) for garment in GARMENTS]
    return made


def noun_texts(nouns: Iterable[Synset]) -> list[str]:
    """Words for what can be seen: each lemma, lemma with its kind, and short definitions."""
    texts: list[str] = []
    for synset in nouns:
        if synset.lexfile not in VISIBLE:
            continue
        texts.extend(lemma for lemma in synset.lemmas if not _LATIN.match(lemma))
        if synset.lexfile in (5, 6, 13) and 3 <= len(synset.gloss.split()) <= 14:
            texts.append(synset.gloss)
            texts.append(f"{synset.lemmas[0]}, {synset.gloss}")
    return texts


_LATIN = re.compile(
    r"^(genus|family|order|subfamily|class|division|suborder|phylum) |^[A-Z]\w+ [a-z]+us$"
)


def picture_texts(pictures: Iterable[Picture]) -> list[str]:
    """Names and keywords of the labelled pictures."""
    texts: list[str] = []
    for picture in pictures:
        texts.append(picture.name)
        texts.extend(picture.words)
    return texts


def contents(nouns: Iterable[Synset], pictures: Iterable[Picture]) -> list[str]:
    """All distinct texts without template or colour, in a fixed order."""
    every = [*GARMENTS, *compounds(), *picture_texts(pictures), *noun_texts(nouns)]
    return list(dict.fromkeys(text for text in every if 2 < len(text) < 120))


# Named like a colour and things themselves: alone, they are the thing as well.
THINGS_AND_COLOURS = frozenset(
    ("orange", "oranges", "chestnut", "olive", "olives", "rose", "lavender", "mint")
)
_COLOUR_OF = {word: key for key, words in COLOUR_SYNONYMS.items() for word in words}
_PATTERN_OF = {word: key for key, words in PATTERN_SYNONYMS.items() for word in words}
_LOOKS = re.compile(
    r"\b("
    + "|".join(sorted(map(re.escape, [*_COLOUR_OF, *_PATTERN_OF]), key=len, reverse=True))
    + r")(-coloured|-colored)?\b"
)


def split_looks(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Take colour and pattern words out of a text.

    Returns:
        What is left, the basic colours and the patterns named.

    >>> split_looks("dark green striped shirt")
    ('shirt', ('green',), ('striped',))
    >>> split_looks("orange")
    ('orange', (), ())
    """
    colours: list[str] = []
    patterns: list[str] = []
    lowered = text.lower()
    if lowered in THINGS_AND_COLOURS:
        return text, (), ()

    def note(match: re.Match[str]) -> str:
        word = match.group(1)
        if word in _COLOUR_OF:
            colours.append(_COLOUR_OF[word])
        else:
            patterns.append(_PATTERN_OF[word])
        return " "

    left = " ".join(_LOOKS.sub(note, lowered).split()).strip(" ,.")
    return left, tuple(dict.fromkeys(colours)), tuple(dict.fromkeys(patterns))


_SYLLABLES = (
    "al",
    "ar",
    "ba",
    "bra",
    "co",
    "del",
    "ga",
    "go",
    "ka",
    "la",
    "li",
    "mi",
    "mor",
    "na",
    "no",
    "o",
    "pro",
    "ra",
    "ri",
    "sa",
    "ta",
    "ti",
    "tro",
    "va",
    "vo",
    "yo",
    "zu",
    "gon",
    "lia",
    "via",
)


def invented_brand(rng: np.random.Generator) -> str:
    """Make up a word that means nothing, as brand names do."""
    return "".join(
        _SYLLABLES[int(i)] for i in rng.integers(len(_SYLLABLES), size=rng.integers(2, 4))
    )


def dressed(text: str, rng: np.random.Generator, templates: Sequence[str] = TEMPLATES) -> str:
    """Put a text into a caption that means the same."""
    draw = rng.random()
    if draw < 0.08 and len(text) < 40:
        text = f"{invented_brand(rng)} {text}"
    if rng.random() < 0.35:
        return text
    if rng.random() < 0.2:
        text = text.capitalize() if rng.random() < 0.5 else text.title()
    return templates[int(rng.integers(len(templates)))].format(text)
