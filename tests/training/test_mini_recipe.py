"""The pieces of the embedded encoder's recipe, and the finished weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from rac.encoders.recommended import RECOMMENDED
from training.mini.colours import COLOURS, PAINTS, name_pixels, sample_paint
from training.mini.lookalikes import LOOK_ALIKES, class_index, parse_look_alikes
from training.mini.scenes import VIEWS, compose
from training.mini.space import EMBED_DIM, MeaningSpace, join_axes, one_of, unit
from training.mini.vocabulary import dressed, split_looks
from training.mini.wordnet import WORDNET, imagenet_synsets, load_nouns

MINI = Path(__file__).parents[2] / "rac" / "encoders" / "mini"
needs_weights = pytest.mark.skipif(
    not (MINI / "open_clip_model.safetensors").exists(), reason="the weights of mini are not here"
)


@pytest.mark.parametrize("colour", COLOURS)
def test_paints_are_named_as_people_would(colour: str) -> None:
    rng = np.random.default_rng(0)
    paints = np.stack([sample_paint(colour, rng) for _ in range(200)])
    named = name_pixels(np.round(paints * 255).astype(np.uint8))
    assert (named == COLOURS.index(colour)).mean() > 0.8
    assert set(PAINTS) == set(COLOURS)


def test_pixels_are_named_as_a_survey_of_people_did() -> None:
    """Olive, tan, maroon, navy, mustard brown and lilac: none by its hue alone."""
    named = {
        "green": (110, 117, 14),
        "brown": (178, 153, 110),
        "red": (101, 0, 33),
        "blue": (1, 21, 62),
        "purple": (206, 162, 253),
        "orange": (254, 179, 8),
        "yellow": (250, 218, 94),
        "pink": (255, 129, 192),
        "grey": (148, 150, 150),
    }
    found = name_pixels(np.array([list(named.values())], dtype=np.uint8))[0]
    assert [COLOURS[index] for index in found] == list(named)


def test_looks_are_taken_out_of_texts_but_fruit_stays_fruit() -> None:
    assert split_looks("red striped T-shirt")[1:] == (("red",), ("striped",))
    assert split_looks("blackberry jam") == ("blackberry jam", (), ())
    assert split_looks("orange") == ("orange", (), ())


def test_a_dressed_text_still_holds_its_words() -> None:
    rng = np.random.default_rng(0)
    assert all("kiwi" in dressed("kiwi", rng).lower() for _ in range(200))


def test_every_view_makes_a_scene_and_the_same_seed_the_same_scene() -> None:
    cut = Image.new("RGBA", (60, 90), (200, 30, 30, 255))
    for view in VIEWS:
        one = compose(cut, view, [], np.random.default_rng(3))
        two = compose(cut, view, [], np.random.default_rng(3))
        assert one.pixels.shape == (224, 224, 3)
        assert np.array_equal(one.pixels, two.pixels)
        assert one.colours.sum() == pytest.approx(1.0, abs=1e-4)
        assert (one.pattern >= 0) == (view == "tinted")


def test_the_joint_space_keeps_sight_colour_and_pattern_apart() -> None:
    rng = np.random.default_rng(0)
    sentences = unit(rng.normal(size=(500, 384)))
    space = MeaningSpace.fit(sentences)
    sight = space.meaning(sentences[:2])
    red = np.stack([one_of(11, 3)] * 2)
    none = np.zeros((2, 4), dtype=np.float32)
    with_colour = join_axes(sight, red, none)
    without = join_axes(sight, np.zeros_like(red), none)
    assert with_colour.shape == (2, EMBED_DIM)
    assert np.allclose(np.linalg.norm(with_colour, axis=1), 1, atol=1e-5)
    # Equal parts of both: half of the squared length is sight.
    assert (with_colour * without).sum(1) == pytest.approx([0.5**0.5] * 2, abs=1e-4)


def test_every_look_alike_is_a_class_of_imagenet() -> None:
    if not WORDNET.exists():
        pytest.skip("WordNet is not here: install Debian's wordnet-base")
    rows = class_index(load_nouns(), imagenet_synsets())
    words, shares = parse_look_alikes(rows)
    assert len(words) == len(shares) > LOOK_ALIKES.count("\n")
    assert shares.sum(1) == pytest.approx(np.ones(len(words)), abs=1e-5)
    with pytest.raises(ValueError, match="no ImageNet class is called 'unicorn'"):
        parse_look_alikes(rows, "horse: unicorn")


@needs_weights
def test_the_weights_are_small_and_described() -> None:
    size = (MINI / "open_clip_model.safetensors").stat().st_size
    assert size <= 45_000_000
    with safe_open(MINI / "open_clip_model.safetensors", "pt") as weights:
        parameters = sum(weights.get_tensor(key).numel() for key in weights.keys())  # noqa: SIM118
    listed = next(entry for entry in RECOMMENDED if entry.name == "mini")
    assert round(parameters / 1e6) == listed.million_parameters
    config = json.loads((MINI / "open_clip_config.json").read_text())
    assert config["model_cfg"]["embed_dim"] == EMBED_DIM
    assert "Limits" in (MINI / "README.md").read_text()


@needs_weights
def test_open_clip_loads_it_and_it_knows_fruit_from_shoes() -> None:
    from training.mini.evaluate import Model

    model = Model(MINI)
    near = model.texts(["a photo of an apple.", "a pear", "a photo of a shoe"])
    assert near[0] @ near[1] > near[0] @ near[2] + 0.1
    colours = model.prompts(["red", "blue"], ["{}", "a {} thing"])
    patch = [Image.new("RGB", (300, 200), colour) for colour in ("red", "blue")]
    seen, trunk = model.images(patch)
    assert trunk.shape == (2, 1280)
    assert (seen @ colours.T).argmax(1).tolist() == [0, 1]


@needs_weights
def test_batches_do_not_change_embeddings() -> None:
    from training.mini.evaluate import Model

    model = Model(MINI)
    torch.manual_seed(0)
    images = [
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8))
        for i in range(5)
    ]
    whole, _ = model.images(images)
    single, _ = model.images(images, batch=1)
    # The projection works in the tail of GELU, where float32 has few digits left: a batch's other
    # order of sums shows in the fifth digit, as much as float16's rounding does.
    assert np.allclose(whole, single, atol=1e-4)
    assert (whole * single).sum(1).min() > 1 - 1e-6


@needs_weights
def test_zero_shot_on_a_sample_has_not_got_worse() -> None:
    """Guards the figure of the model card on a seventh of the rows."""
    from training.mini.evaluate import Model, grocery_root, measure_grocery

    if grocery_root() is None:
        pytest.skip("set RAC_DATA_HOME to the folder that holds grocery-store")
    found = measure_grocery(Model(MINI), every=7)
    assert found is not None
    assert found["coarse"] >= GROCERY_FLOOR["coarse"]
    assert found["fine"] >= GROCERY_FLOOR["fine"]
    assert found["colour_of_produce"] >= PRODUCE_FLOOR


GROCERY_FLOOR = {"coarse": 0.31, "fine": 0.16}
PRODUCE_FLOOR = 0.72


@needs_weights
def test_clothing_on_a_sample_has_not_got_worse() -> None:
    from training.mini.evaluate import Model, measure_fashion

    found = measure_fashion(Model(MINI), limit=300)
    if found is None:
        pytest.skip("no Fashion-MNIST here: install Debian's dataset-fashion-mnist")
    assert found["top1"] >= FASHION_FLOOR
    assert found["colour_of_painted"] >= PAINTED_FLOOR


@needs_weights
def test_stamps_find_their_captions_no_worse() -> None:
    from training.mini.evaluate import Model, measure_tuxpaint

    found = measure_tuxpaint(Model(MINI), every=4)
    if found is None:
        pytest.skip("no stamps here: install Debian's tuxpaint-stamps-default")
    assert found["captions"] > 600
    assert found["recall_at_10"] >= STAMPS_FLOOR


STAMPS_FLOOR = 0.42
FASHION_FLOOR = 0.5
PAINTED_FLOOR = 0.72
