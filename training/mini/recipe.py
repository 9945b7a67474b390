"""The whole way from packages to a finished model."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from retrieval_index.files import replace_file
from training.mini.bagofwords import fit_bags, start_from_bags
from training.mini.everyday import everyday_texts, is_everyday
from training.mini.export import save_model
from training.mini.goods import GoodsMaker
from training.mini.imagehead import LookPlan, join, sight_part, train_looks
from training.mini.labelled import Labelled, Painted
from training.mini.lines import class_lines, drawn_lines, whitening_of
from training.mini.madephotos import PhotoMaker
from training.mini.meanings import Meanings
from training.mini.packages import fetch_all
from training.mini.pictures import SIGNS, Picture, all_pictures
from training.mini.scenebank import SceneBank, build_scenes
from training.mini.scenes import VIEWS, Scene, load_backgrounds
from training.mini.sentences import SentenceEncoder
from training.mini.separation import (
    EVALUATION_FOLDERS,
    Fingerprints,
    evaluation_images,
    fingerprint,
    near_duplicates,
    open_picture,
)
from training.mini.sights import Sights
from training.mini.space import MeaningSpace
from training.mini.texttower import (
    Curriculum,
    build_tower,
    token_words,
    tokenizer,
    train_tower,
)
from training.mini.trunk import FeatureExtractor, Floats, Pixels, load_classifier, load_trunk
from training.mini.vocabulary import contents, split_looks
from training.mini.wordnet import imagenet_synsets, load_nouns, load_senses

# Signs are many, and all of them black on white.
SOURCE_WEIGHTS = {
    "dictionary": 4.0,
    "gcompris": 4.0,
    "fluent-emoji-3d": 2.0,
    "openclipart": 1.0,
    SIGNS: 0.07,
}
EMOJI_WEIGHT = 0.7
MADE_PHOTOS = 20_000
PAINTED_GOODS = 16_000
GOODS = 1900  # garments and compounds, with which the texts begin
_SHOWN = 10_400  # and up to here come names and keywords of pictures
_NAME_WORDS = 2  # to the axes of sight, definitions and phrases have nothing to say


@dataclass(frozen=True)
class Recipe:
    """Where to work, and how long.

    Attributes:
        out: Folder of the finished model.
        cache: Folder of everything that is computed or fetched once.
        seed: Of every draw.
        threads: For torch and OpenVINO.
        text_epochs: Passes of the text tower over its texts.
        looks: How colours and patterns are learnt.
    """

    out: Path
    cache: Path
    seed: int
    threads: int
    text_epochs: int
    looks: LookPlan


def run(recipe: Recipe) -> Path:
    """Make the model; whatever the cache already holds is not made again."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.set_flush_denormal(True)
    fetch_all(recipe.cache)
    pictures = list(all_pictures(recipe.cache))
    nouns = load_nouns()
    texts = contents(nouns.values(), pictures)
    random.Random(recipe.seed).shuffle(pictures)  # noqa: S311 - no secret
    bank = build_scenes(pictures, recipe.cache / "scenes", recipe.seed, recipe.threads)
    bank = drop_evaluation_images(bank, recipe)
    sentences = SentenceEncoder(recipe.cache / "sentences", recipe.threads)
    space = MeaningSpace.fit(sentences.encode(texts, show=True))
    senses = load_senses()
    meanings = Meanings(nouns, senses, sentences, space)
    data = label(bank, pictures, meanings)
    classes, whitening = imagenet_synsets(), whitening_of(data)
    sights = Sights.fit(
        meanings.of_synsets(classes),
        class_lines(nouns, classes, meanings),
        drawn_lines(data, whitening),
        meanings.of_names([text for text in texts if len(text.split()) <= _NAME_WORDS]),
    )
    everyday = everyday_texts(nouns, senses, tokenizer(), recipe.seed)
    tower = _text_tower(recipe, texts, everyday, meanings, space, sights, sentences)
    maker = PhotoMaker(load_backgrounds(1400), _photographs(bank, pictures))
    made = _painted(
        recipe, "made-photos", maker.stream(MADE_PHOTOS, recipe.seed, recipe.threads), MADE_PHOTOS
    )
    repainted = np.unique(bank.picture[bank.view == VIEWS.index("tinted")])
    shop = GoodsMaker([pictures[index] for index in repainted], maker, load_backgrounds())
    goods = _painted(
        recipe, "goods", shop.stream(PAINTED_GOODS, recipe.seed, recipe.threads), PAINTED_GOODS
    )
    photos = _photos(recipe, bank, pictures, made)
    sight = sight_part(sights, torch.from_numpy(whitening), load_classifier(), photos)
    head = join(sight, train_looks(data, made.and_also(goods), recipe.looks, recipe.seed))
    return save_model(recipe.out, load_trunk(), head, tower)


def _text_tower(
    recipe: Recipe,
    names: list[str],
    everyday: list[str],
    meanings: Meanings,
    space: MeaningSpace,
    sights: Sights,
    sentences: SentenceEncoder,
) -> torch.nn.Module:
    tower = build_tower()
    kept = recipe.cache / f"tower-{recipe.seed}-{recipe.text_epochs}.pt"
    if kept.exists():
        tower.load_state_dict(torch.load(kept, weights_only=True))
        return tower
    coder = tokenizer()
    texts = list(dict.fromkeys([*names, *everyday]))
    repeat = text_repeats(texts, len(names), coder)
    places = sights.of_meanings(meanings.of_names(texts, show=True))
    own = sights.of_meanings(space.meaning(sentences.encode(token_words(coder), show=True)))
    tokens = [ids[1 : ids.index(coder.eot_token_id)] for ids in coder(texts).tolist()]
    start_from_bags(tower, fit_bags(tokens, places, repeat, own))
    train_tower(tower, Curriculum(texts, places, repeat), recipe.text_epochs, recipe.seed)
    with replace_file(kept) as draft:
        torch.save(tower.state_dict(), draft)
    return tower


def text_repeats(texts: list[str], names: int, coder: Any) -> Floats:
    """How often each text is drawn in an epoch: names of goods often, definitions seldom.

    Args:
        texts: Names of things, then everyday words and phrases.
        names: How many of them are names of things.
        coder: open_clip's byte-pair tokenizer.
    """
    repeat = np.full(len(texts), 0.5, dtype=np.float32)
    for index, text in enumerate(texts[:names]):
        words = len(text.split())
        if index < GOODS:
            repeat[index] = 2.0
        elif words > 3:
            repeat[index] = 0.4
        else:
            often = 2.0 if index < _SHOWN and words <= 2 else 1.0
            repeat[index] = often if is_everyday(text, coder) else often / 2
    return repeat


def drop_evaluation_images(bank: SceneBank, recipe: Recipe) -> SceneBank:
    """Drop the scenes of every picture that is nearly one of an evaluation set."""
    paths = list(evaluation_images(EVALUATION_FOLDERS))
    if not paths:
        return bank
    kept = recipe.cache / "evaluation-fingerprints.npz"
    if kept.exists():
        found = np.load(kept)
        theirs = Fingerprints(frozenset(), found["thumbnails"], found["features"])
    else:
        extractor = FeatureExtractor(recipe.threads)
        theirs = fingerprint(map(open_picture, paths), extractor)
        with replace_file(kept) as draft, draft.open("wb") as file:
            np.savez(file, thumbnails=theirs.thumbnails, features=theirs.features)
    plain = bank.view == VIEWS.index("plain")
    ours = Fingerprints(frozenset(), bank.thumbnail[plain], bank.features[plain])
    twins = bank.picture[plain][near_duplicates(ours, theirs)]
    Console().print(
        f"{len(twins)} of {int(plain.sum())} pictures are near an evaluation image: dropped"
    )
    return bank.take(~np.isin(bank.picture, twins))


def label(bank: SceneBank, pictures: list[Picture], meanings: Meanings) -> Labelled:
    """Say of each scene what it shows; colour words in names are left to the colours."""
    names = [split_looks(picture.name)[0] or picture.name for picture in pictures]
    distinct = sorted(set(names))
    row_of = {name: row for row, name in enumerate(distinct)}
    rows = np.array([row_of[name] for name in names])
    weights = np.array(
        [SOURCE_WEIGHTS.get(picture.source, EMOJI_WEIGHT) for picture in pictures], dtype=np.float32
    )
    return Labelled(
        features=torch.from_numpy(bank.features),
        name=torch.from_numpy(rows[bank.picture]),
        weight=weights[bank.picture],
        colours=torch.from_numpy(bank.colours),
        pattern=torch.from_numpy(bank.pattern),
        tinted=torch.from_numpy(bank.view == VIEWS.index("tinted")),
        meanings=torch.from_numpy(meanings.of_names(distinct)),
    )


def _photos(
    recipe: Recipe, bank: SceneBank, pictures: list[Picture], made: Painted
) -> torch.Tensor:
    """Features ``(P, 1280)`` of made photos, and of scenes with real ones."""
    photographed = np.array([picture.source == "gcompris" for picture in pictures])[bank.picture]
    pasted = np.flatnonzero(bank.view == VIEWS.index("photo"))
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(pasted, min(4000, len(pasted)), replace=False)
    scenes = [bank.features[photographed & (bank.view <= 1)], bank.features[chosen]]
    return torch.cat([made.features, *map(torch.from_numpy, scenes)])


def _painted(recipe: Recipe, name: str, scenes: Iterable[Scene], count: int) -> Painted:
    """Features and colours of ``count`` scenes, which are made if the cache does not hold them."""
    from rich.progress import track

    kept = recipe.cache / f"{name}.npz"
    if not kept.exists():
        extractor = FeatureExtractor(recipe.threads)
        colours: list[Floats] = []

        def pixels() -> Iterator[Pixels]:
            for scene in scenes:
                colours.append(scene.colours)
                yield scene.pixels

        seen = track(pixels(), name.replace("-", " "), total=count)
        features = np.concatenate(list(extractor.stream(seen)))
        with replace_file(kept) as draft, draft.open("wb") as file:
            np.savez(file, features=features.astype(np.float16), colours=np.stack(colours))
    found = np.load(kept)
    return Painted(
        torch.from_numpy(found["features"].astype(np.float32)), torch.from_numpy(found["colours"])
    )


def _photographs(bank: SceneBank, pictures: list[Picture]) -> list[Image.Image]:
    """Pictures of GCompris without a transparent part: its photographs."""
    found = []
    for index in np.unique(bank.picture):
        if pictures[index].source == "gcompris":
            image = pictures[index].load()
            opaque = np.asarray(image)[..., 3] > 250
            if opaque.mean() > 0.98 and min(image.size) >= 100:
                found.append(image.convert("RGB"))
    return found
