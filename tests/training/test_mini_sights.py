"""Where texts and photos meet: what words look like, to a classifier and as drawings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.mini.imagehead import sight_part
from training.mini.labelled import Labelled
from training.mini.lines import Lines, class_lines, drawn_lines, whitening_of
from training.mini.lookalikes import class_index, parse_look_alikes
from training.mini.meanings import Meanings
from training.mini.sights import Sights
from training.mini.space import MEANING_DIM, SIGHT_DIM, unit
from training.mini.trunk import CLASSES, FEATURE_DIM, Floats, ImageNetClassifier
from training.mini.wordnet import WORDNET, Synset, ancestors, imagenet_synsets, load_nouns

DRAWN_NAMES = 30


@pytest.fixture(scope="module")
def names() -> Floats:
    return unit(np.random.default_rng(0).normal(size=(CLASSES, MEANING_DIM)))


@pytest.fixture(scope="module")
def scenes() -> Labelled:
    """Twelve scenes of each name, near a place of its own, but for the painted ones."""
    draws = torch.Generator().manual_seed(2)
    name = torch.arange(DRAWN_NAMES * 12) % DRAWN_NAMES
    places = 2.0 * torch.randn(DRAWN_NAMES, FEATURE_DIM, generator=draws)
    features = places[name] + torch.randn(len(name), FEATURE_DIM, generator=draws)
    tinted = torch.arange(len(name)) < 2 * DRAWN_NAMES
    features[tinted] *= -1
    meanings = unit(np.random.default_rng(3).normal(size=(DRAWN_NAMES, MEANING_DIM)))
    return Labelled(
        features=features,
        name=name,
        weight=np.ones(len(name), dtype=np.float32),
        colours=torch.zeros(len(name), 11),
        pattern=torch.full((len(name),), -1),
        tinted=tinted,
        meanings=torch.from_numpy(meanings),
    )


@pytest.fixture(scope="module")
def sights(names: Floats, scenes: Labelled) -> Sights:
    classes = Lines(names, np.eye(CLASSES, dtype=np.float32))
    drawings = drawn_lines(scenes, whitening_of(scenes))
    return Sights.fit(names, classes, drawings, np.concatenate([names, scenes.meanings.numpy()]))


def test_a_word_looks_like_the_word_that_means_nearly_the_same() -> None:
    lines = Lines(np.eye(3, 5, dtype=np.float32), np.eye(3, 4, dtype=np.float32))
    synonym = unit(np.array([[0.9, 0.1, 0.0, 0.1, 0.0]]))
    stranger = unit(np.array([[0.1, 0.0, 0.0, 1.0, 0.0]]))
    opposite = np.array([[-1.0, -1.0, -1.0, 0.0, 0.0]], np.float32)
    found = lines.expected(np.concatenate([lines.words[2:], synonym, stranger, opposite]))
    np.testing.assert_allclose(found[0], [0, 0, 1, 0], atol=1e-5)
    assert found[1, 0] == pytest.approx(synonym[0, 0], abs=1e-3)
    assert found[2] == pytest.approx([stranger[0, 0], 0, 0, 0], abs=0.02)
    assert not found[3].any()


def test_a_kind_is_everything_above_it() -> None:
    nouns = {
        key: Synset(key, 13, (key,), above, key)
        for key, above in {
            "food": (),
            "fruit": ("food",),
            "dessert": ("food",),
            "apple": ("fruit", "dessert"),
        }.items()
    }
    assert ancestors(nouns, "apple") == {"fruit", "dessert", "food"}
    assert ancestors(nouns, "food") == set()


@pytest.mark.skipif(not WORDNET.exists(), reason="install Debian's wordnet-base")
def test_kinds_look_like_their_classes_and_the_table_like_its_own() -> None:
    class Places(Meanings):
        """A meaning of its own for each text, in the order in which they come."""

        def __init__(self) -> None:
            self.met: list[str] = []

        def of_names(self, names: list[str], show: bool = False) -> Floats:  # type: ignore[override]
            self.met += names
            return np.zeros((len(names), MEANING_DIM), np.float32)

        def of_synsets(self, keys: list[str]) -> Floats:  # type: ignore[override]
            return self.of_names(keys)

    nouns, classes, places = load_nouns(), imagenet_synsets(), Places()
    lines = class_lines(nouns, classes, places)
    assert len(lines.words) == len(lines.looks) == len(places.met)
    np.testing.assert_allclose(np.linalg.norm(lines.looks, axis=1), 1, atol=1e-5)
    row = class_index(nouns, classes)
    shark = next(
        place
        for place, key in enumerate(places.met)
        if key in nouns and nouns[key].lemmas[0] == "shark"
    )
    sharks = {row[name][0] for name in ("great white shark", "tiger shark", "hammerhead")}
    assert set(np.flatnonzero(lines.looks[shark])) == sharks
    things, shares = parse_look_alikes(row)
    np.testing.assert_allclose(
        lines.looks[places.met.index("pear")] ** 2, shares[things.index("pear")], atol=1e-5
    )
    widest = (lines.looks > 0).sum(1).max()
    assert widest <= 500


def test_drawings_of_a_name_lie_at_its_line(scenes: Labelled) -> None:
    whitening = whitening_of(scenes)
    lines = drawn_lines(scenes, whitening)
    assert lines.looks.shape == (DRAWN_NAMES, FEATURE_DIM)
    plain = scenes.features[~scenes.tinted]
    seen = (plain - plain.mean(0)).numpy() @ whitening @ lines.looks.T
    assert (seen.argmax(1) == scenes.name[~scenes.tinted].numpy()).all()


def test_a_name_of_few_scenes_is_no_line(scenes: Labelled) -> None:
    kept = torch.nonzero((scenes.name != 4) | (torch.arange(len(scenes.name)) > 300)).squeeze(1)
    fewer = Labelled(
        features=scenes.features[kept],
        name=scenes.name[kept],
        weight=scenes.weight[kept.numpy()],
        colours=scenes.colours[kept],
        pattern=scenes.pattern[kept],
        tinted=scenes.tinted[kept],
        meanings=scenes.meanings,
    )
    assert len(drawn_lines(fewer, whitening_of(fewer)).words) == DRAWN_NAMES - 1


def test_sights_are_unit_vectors_and_keep_names_apart(sights: Sights, names: Floats) -> None:
    found = sights.of_meanings(names[:200])
    assert found.shape == (200, SIGHT_DIM)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alike = found @ found.T - np.eye(200)
    assert alike.max() < 0.6


def test_photos_are_seen_along_axes_that_undo_those_of_texts(sights: Sights) -> None:
    """However loud the drawings are in a text, its product with a photo is what it was."""
    undone = sights.axes.T @ sights.photo_axes
    np.testing.assert_allclose(undone, np.eye(SIGHT_DIM), atol=1e-3)
    drawn = np.linalg.norm(sights.axes[CLASSES:], axis=1)
    softened = np.linalg.norm(sights.photo_axes[CLASSES:], axis=1)
    assert (drawn > 2 * softened).all()


def test_photos_and_drawings_lie_where_their_names_do(
    sights: Sights, names: Floats, scenes: Labelled
) -> None:
    """A photo of which the classifier is sure, and a drawing of which it knows nothing."""
    draws = torch.Generator().manual_seed(4)
    weight = torch.randn(CLASSES, FEATURE_DIM, generator=draws) * 0.05
    classifier = ImageNetClassifier(weight.numpy(), np.zeros(CLASSES, np.float32))
    showing = torch.arange(100)
    # Twelve where it shows; the logits of all others are random, with a deviation of 1 or so.
    photos = 12.0 * weight[showing] / weight[showing].square().sum(1, keepdim=True)
    photos = photos + 0.5 * torch.randn(100, FEATURE_DIM, generator=draws)
    whitening = torch.from_numpy(whitening_of(scenes))
    part = sight_part(sights, whitening, classifier, photos)
    with torch.no_grad():
        seen = functional.normalize(part(photos), dim=-1).numpy()
        drawn = functional.normalize(part(scenes.features[~scenes.tinted]), dim=-1).numpy()
    said = (seen @ sights.of_meanings(names[:100]).T).argmax(1)
    assert (said == showing.numpy()).mean() > 0.9
    said = (drawn @ sights.of_meanings(scenes.meanings.numpy()).T).argmax(1)
    assert (said == scenes.name[~scenes.tinted].numpy()).mean() > 0.9


def test_the_units_of_a_sight_are_roots_of_probabilities_and_whitened_features(
    sights: Sights, scenes: Labelled
) -> None:
    """But for one factor of a photo's own: that of its probabilities against its features."""
    draws = torch.Generator().manual_seed(7)
    weight = torch.randn(CLASSES, FEATURE_DIM, generator=draws) * 0.1
    classifier = ImageNetClassifier(weight.numpy(), np.zeros(CLASSES, np.float32))
    # Logits of 1,000 classes with a deviation of 2: the highest of a photo lies between 5 and 9.
    photos = torch.randn(200, FEATURE_DIM, generator=draws) * (2.0 / (0.1 * FEATURE_DIM**0.5))
    part = sight_part(sights, torch.from_numpy(whitening_of(scenes)), classifier, photos)
    first = part[0]
    assert isinstance(first, torch.nn.Linear)
    with torch.no_grad():
        units = part[1](first(photos))
    roots = functional.softmax(photos @ weight.T, dim=-1).sqrt()
    nearness = functional.cosine_similarity(-units[:, :CLASSES], roots, dim=-1)
    assert nearness.min() > 0.95
    handed_on = first(photos)[:, CLASSES:]
    assert torch.allclose(units[:, CLASSES:], handed_on, atol=1e-3)
