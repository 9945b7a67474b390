"""What names mean, with four senses and a sentence encoder that knows words as axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from training.mini.meanings import Meanings
from training.mini.sentences import SENTENCE_DIM, SentenceEncoder
from training.mini.space import COLOUR_AXES, MEANING_DIM, SIGHT_DIM, MeaningSpace
from training.mini.texttower import Curriculum
from training.mini.trunk import Floats
from training.mini.wordnet import WORDNET, Synset, load_nouns, load_senses

NOUNS = {
    "day": Synset("day", 28, ("date",), ("time",), "the day of the month"),
    "fruit": Synset("fruit", 13, ("date", "dattel"), ("produce",), "fruit of a palm"),
    "palm": Synset("palm", 20, ("date", "Date Palm"), (), "a tall palm"),
    "produce": Synset("produce", 13, ("produce",), (), "what is grown"),
}
SENSES = {"date": ["day", "fruit", "palm"]}


class Axes(SentenceEncoder):
    """Each distinct text is an axis of its own, in the order in which texts are met."""

    def __init__(self) -> None:
        self.met: dict[str, int] = {}

    def encode(self, texts: Sequence[str], batch_size: int = 256, show: bool = False) -> Floats:
        rows = [self.met.setdefault(text, len(self.met)) for text in texts]
        return np.eye(SENTENCE_DIM, dtype=np.float32)[rows]


@pytest.fixture
def axes() -> Axes:
    return Axes()


@pytest.fixture
def meanings(axes: Axes) -> Meanings:
    space = MeaningSpace(
        mean=np.zeros(SENTENCE_DIM, np.float32),
        axes=np.eye(SENTENCE_DIM, MEANING_DIM, dtype=np.float32),
    )
    return Meanings(NOUNS, SENSES, axes, space)


def test_a_name_is_described_by_what_can_be_seen(meanings: Meanings) -> None:
    """The day cannot; the fruit comes before the palm and has two thirds of the share."""
    described = dict(meanings.described("date"))
    assert described.pop("date") == 1.0
    assert described == pytest.approx(
        {
            "dattel": 0.5 * 2 / 3,
            "fruit of a palm": 0.3 * 2 / 3,
            "date, produce": 0.6 * 2 / 3,
            "date produce": 0.6 * 2 / 3,
            "Date Palm": 0.5 / 3,
            "a tall palm": 0.3 / 3,
        }
    )


def test_a_plural_has_the_senses_of_its_word_and_an_unknown_name_none(meanings: Meanings) -> None:
    assert dict(meanings.described("Dates"))["dattel"] == pytest.approx(1 / 3)
    assert meanings.described("Arla") == [("Arla", 1.0)]


def test_texts_are_mixed_by_their_shares(meanings: Meanings, axes: Axes) -> None:
    found = meanings.of_names(["date", "Arla"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found[1, axes.met["Arla"]] == pytest.approx(1)
    date, gloss = axes.met["date"], axes.met["fruit of a palm"]
    assert found[0, gloss] / found[0, date] == pytest.approx(0.2)


def test_a_sense_is_its_words_its_kind_and_its_definition(meanings: Meanings, axes: Axes) -> None:
    (found,) = meanings.of_synsets(["fruit"])
    shares = {text: float(found[axis]) for text, axis in axes.met.items()}
    assert shares["date"] == pytest.approx(shares["dattel"])
    assert shares["date, produce"] / shares["date"] == pytest.approx(1.2)


@pytest.mark.skipif(not WORDNET.exists(), reason="install Debian's wordnet-base")
def test_the_senses_of_wordnet_lead_to_its_nouns() -> None:
    nouns, senses = load_nouns(), load_senses()
    apple = [nouns[key] for key in senses["granny smith"]]
    assert [synset.gloss for synset in apple] == ["apple with a green skin and hard tart flesh"]
    assert all(key in nouns for keys in senses.values() for key in keys)


def test_orange_alone_is_the_fruit_as_well_as_the_colour() -> None:
    """Else a class called orange would be told from its colour alone."""
    places = np.eye(2, SIGHT_DIM, dtype=np.float32)
    curriculum = Curriculum(["orange", "shirt"], places, np.full(2, 3e4, np.float32))
    lesson = curriculum.epoch(np.random.default_rng(0))
    alone = np.array([text.lower().strip(".") == "orange" for text in lesson.texts])
    coloured = lesson.targets[:, COLOUR_AXES].any(axis=1)
    assert (alone & coloured).any()
    assert lesson.targets[alone, 0].min() > 0.5
