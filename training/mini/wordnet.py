"""Nouns of WordNet 3.0: what a thing is called, what it is a kind of, and what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")

# Lexicographer files (wnintro(5WN), lexnames): what can stand in a picture.
VISIBLE = {
    5: "animal",
    6: "artifact",
    8: "body",
    13: "food",
    15: "location",
    17: "object",
    18: "person",
    20: "plant",
    27: "substance",
}


@dataclass(frozen=True)
class Synset:
    """One noun sense.

    Attributes:
        key: ImageNet's id, ``n`` and eight digits.
        lexfile: Its lexicographer file's number.
        lemmas: Its words, the most usual first, underscores made spaces.
        hypernyms: Keys of what it is a kind of.
        gloss: Its definition, without examples.
    """

    key: str
    lexfile: int
    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str


def parse_noun(line: str) -> Synset:
    """Parse one line of ``data.noun`` (format: wndb(5WN)).

    >>> parse_noun(
    ...     "07739125 13 n 02 apple 0 pome 0 001 @ 07705931 n 0000 | fruit; with seeds"
    ... )  # doctest: +NORMALIZE_WHITESPACE
    Synset(key='n07739125', lexfile=13, lemmas=('apple', 'pome'), hypernyms=('n07705931',),
           gloss='fruit')
    """
    fields, _, gloss = line.partition(" | ")
    parts = fields.split(" ")
    count = int(parts[3], 16)
    lemmas = tuple(parts[4 + 2 * i].replace("_", " ") for i in range(count))
    pointers = parts[5 + 2 * count :]
    hypernyms = tuple(
        f"n{pointers[i + 1]}" for i in range(0, len(pointers) - 1, 4) if pointers[i] in ("@", "@i")
    )
    definition = re.sub(r"\(.*?\)", "", gloss).split(";")[0].split('"')[0]
    return Synset(
        key=f"n{parts[0]}",
        lexfile=int(parts[1]),
        lemmas=lemmas,
        hypernyms=hypernyms,
        gloss=" ".join(definition.split()),
    )


def _entries(path: Path) -> list[str]:
    """Read the lines of a file of WordNet; its licence, two spaces in, is left out."""
    lines = path.read_text(encoding="latin-1").splitlines()
    return [line for line in lines if not line.startswith("  ")]


def load_nouns(root: Path = WORDNET) -> dict[str, Synset]:
    """Read all noun senses, by key."""
    synsets = map(parse_noun, _entries(root / "data.noun"))
    return {synset.key: synset for synset in synsets}


def load_senses(root: Path = WORDNET) -> dict[str, list[str]]:
    """Read the keys of the senses of each noun, by its lower-case name, the most usual first."""
    senses: dict[str, list[str]] = {}
    for line in _entries(root / "index.noun"):
        fields = line.split()
        offsets = fields[-int(fields[2]) :]
        senses[fields[0].replace("_", " ")] = [f"n{offset}" for offset in offsets]
    return senses


def load_lemmas(part: str, root: Path = WORDNET) -> list[str]:
    """Read the lower-case words of a part of speech: ``adj``, ``adv``, ``noun`` or ``verb``."""
    entries = _entries(root / f"index.{part}")
    return [entry.split(" ", 1)[0].replace("_", " ") for entry in entries]


def load_irregular_plurals(root: Path = WORDNET) -> dict[str, str]:
    """Read the plurals that no rule gives, by singular."""
    pairs = (line.replace("_", " ").split()[:2] for line in _entries(root / "noun.exc"))
    return {singular: plural for plural, singular in pairs}


def ancestors(nouns: Mapping[str, Synset], key: str) -> set[str]:
    """List the keys of everything that a sense is a kind of, near and far."""
    found: set[str] = set()
    waiting = list(nouns[key].hypernyms)
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting.extend(nouns[kind].hypernyms)
    return found


def imagenet_synsets() -> list[str]:
    """Keys of the 1,000 ImageNet classes, in the order of the classifier's rows."""
    import timm

    listed = Path(timm.__file__).parent / "data" / "_info" / "imagenet_synsets.txt"
    return listed.read_text().split()
