"""What a name means where pictures are concerned: itself, and what WordNet says of it.

A sentence encoder knows "Granny Smith" as somebody's grandmother and "date" as a day. Where a name
has senses that can stand in a picture, what WordNet says of them is mixed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.mini.sentences import SentenceEncoder
from training.mini.space import MEANING_DIM, MeaningSpace, unit
from training.mini.trunk import Floats
from training.mini.wordnet import VISIBLE, Synset

# Share of a synonym, of the name with its kind, and of the definition, where the name has 1.
_SYNONYM, _KIND, _GLOSS = 0.5, 0.6, 0.3

Weighted = list[tuple[str, float]]


class Meanings:
    """Places names in the space of meanings.

    Args:
        nouns: Senses by key.
        senses: Their keys by lower-case name, the most usual first.
        sentences: Embeds the texts.
        space: Where they are placed.
    """

    def __init__(
        self,
        nouns: Mapping[str, Synset],
        senses: Mapping[str, Sequence[str]],
        sentences: SentenceEncoder,
        space: MeaningSpace,
    ) -> None:
        self._nouns = nouns
        self._senses = senses
        self._sentences = sentences
        self._space = space

    def of_names(self, names: Sequence[str], show: bool = False) -> Floats:
        """Return ``(N, 240)`` unit vectors of names."""
        return self._mixed([self.described(name) for name in names], show)

    def of_synsets(self, keys: Sequence[str]) -> Floats:
        """Return ``(N, 240)`` unit vectors of senses, each by its first three words."""
        described = []
        for key in keys:
            synset = self._nouns[key]
            lemmas = synset.lemmas[:3]
            words = [(lemma, 1 / len(lemmas)) for lemma in lemmas]
            described.append([*words, *self._about(synset, lemmas[0])])
        return self._mixed(described, show=False)

    def described(self, name: str) -> Weighted:
        """List the texts that say what a name means, with their shares."""
        texts: Weighted = [(name, 1.0)]
        senses = self._visible_senses(name)
        shares = 1 / np.arange(1, len(senses) + 1)
        for synset, share in zip(senses, shares / shares.sum(), strict=True):
            others = [lemma for lemma in synset.lemmas if lemma.lower() != name.lower()][:2]
            said = [*((other, _SYNONYM) for other in others), *self._about(synset, name)]
            texts.extend((text, float(weight * share)) for text, weight in said)
        return texts

    def _visible_senses(self, name: str) -> list[Synset]:
        lowered = name.lower()
        for form in (lowered, lowered.removesuffix("s"), lowered.removesuffix("es")):
            if form in self._senses:
                found = [self._nouns[key] for key in self._senses[form]]
                return [synset for synset in found if synset.lexfile in VISIBLE]
        return []

    def _about(self, synset: Synset, name: str) -> Weighted:
        said: Weighted = [(synset.gloss, _GLOSS)]
        if synset.hypernyms:
            kind = self._nouns[synset.hypernyms[0]].lemmas[0]
            said += [(f"{name}, {kind}", _KIND), (f"{name} {kind}", _KIND)]
        return said

    def _mixed(self, described: Sequence[Weighted], show: bool) -> Floats:
        texts = list(dict.fromkeys(text for each in described for text, _ in each))
        place = {text: row for row, text in enumerate(texts)}
        found = self._space.meaning(self._sentences.encode(texts, show=show))
        summed = np.zeros((len(described), MEANING_DIM), dtype=np.float32)
        for row, each in enumerate(described):
            for text, weight in each:
                summed[row] += weight * found[place[text]]
        return unit(summed)
