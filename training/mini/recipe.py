"""The whole way from packages to a finished model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from training.mini.export import save_model
from training.mini.imagehead import HeadPlan, Labelled, train_head
from training.mini.packages import fetch_all
from training.mini.pictures import Picture, all_pictures
from training.mini.scenebank import SceneBank, build_scenes
from training.mini.scenes import VIEWS, load_backgrounds
from training.mini.sentences import SentenceEncoder
from training.mini.separation import (
    EVALUATION_FOLDERS,
    Fingerprints,
    evaluation_images,
    fingerprint,
    near_duplicates,
    open_picture,
)
from training.mini.space import JointSpace
from training.mini.teacher import Teacher
from training.mini.texttower import (
    Curriculum,
    build_tower,
    start_from_words,
    token_words,
    tokenizer,
    train_tower,
)
from training.mini.trunk import FeatureExtractor, Floats, Pixels, load_classifier, load_trunk
from training.mini.vocabulary import contents, split_looks
from training.mini.wordnet import imagenet_synsets, load_nouns

SOURCE_WEIGHTS = {"dictionary": 4.0, "gcompris": 4.0, "fluent-emoji-3d": 2.0, "openclipart": 1.0}
EMOJI_WEIGHT = 0.7


@dataclass(frozen=True)
class Recipe:
    """Where to work, and how long.

    Attributes:
        out: Folder of the finished model.
        cache: Folder of everything that is computed or fetched once.
        seed: Of every draw.
        threads: For torch and OpenVINO.
        text_epochs: Passes of the text tower over its texts.
        head: Plan of the image head.
    """

    out: Path
    cache: Path
    seed: int
    threads: int
    text_epochs: int
    head: HeadPlan


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
    embedded = sentences.encode(texts, show=True)
    space = JointSpace.fit(embedded)
    tower = _text_tower(recipe, texts, embedded, space, sentences)
    teacher = Teacher.build(load_classifier(), nouns, imagenet_synsets(), sentences, space)
    data = label(bank, pictures, sentences, space)
    photos = _photos(recipe, bank, pictures)
    head = train_head(data, photos, teacher, recipe.head, recipe.seed)
    return save_model(recipe.out, load_trunk(), head, tower)


def _text_tower(
    recipe: Recipe,
    texts: list[str],
    embedded: Floats,
    space: JointSpace,
    sentences: SentenceEncoder,
) -> torch.nn.Module:
    tower = build_tower()
    kept = recipe.cache / f"tower-{recipe.seed}-{recipe.text_epochs}.pt"
    if kept.exists():
        tower.load_state_dict(torch.load(kept, weights_only=True))
        return tower
    words = sentences.encode(token_words(tokenizer()), show=True)
    start_from_words(tower, space.meaning(words))
    curriculum = Curriculum(texts, space.meaning(embedded), space, text_repeats(texts))
    train_tower(tower, curriculum, recipe.text_epochs, recipe.seed)
    torch.save(tower.state_dict(), kept)
    return tower


def text_repeats(texts: list[str]) -> Floats:
    """How often each text is drawn in an epoch: names of goods often, definitions seldom."""
    return np.array(
        [
            2.0
            if index < 1900 or (index < 9000 and len(text.split()) <= 2)
            else (1.0 if len(text.split()) <= 3 else 0.4)
            for index, text in enumerate(texts)
        ],
        dtype=np.float32,
    )


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
        np.savez(kept, thumbnails=theirs.thumbnails, features=theirs.features)
    plain = bank.view == VIEWS.index("plain")
    ours = Fingerprints(frozenset(), bank.thumbnail[plain], bank.features[plain])
    twins = bank.picture[plain][near_duplicates(ours, theirs)]
    Console().print(
        f"{len(twins)} of {int(plain.sum())} pictures are near an evaluation image: dropped"
    )
    return bank.take(~np.isin(bank.picture, twins))


def label(
    bank: SceneBank,
    pictures: list[Picture],
    sentences: SentenceEncoder,
    space: JointSpace,
) -> Labelled:
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
        meanings=torch.from_numpy(space.meaning(sentences.encode(distinct))),
    )


def _photos(recipe: Recipe, bank: SceneBank, pictures: list[Picture]) -> torch.Tensor:
    kept = recipe.cache / "photo-crops.npy"
    if kept.exists():
        crops = np.load(kept)
    else:
        rng = np.random.default_rng(recipe.seed + 1)
        photos = load_backgrounds()
        extractor = FeatureExtractor(recipe.threads)
        crops = np.concatenate(
            list(extractor.stream(_crop(photos[i % len(photos)], rng) for i in range(1500)))
        )
        np.save(kept, crops)
    photographed = np.array([picture.source == "gcompris" for picture in pictures])[bank.picture]
    pasted = np.flatnonzero(bank.view == VIEWS.index("photo"))
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(pasted, min(4000, len(pasted)), replace=False)
    return torch.from_numpy(
        np.concatenate(
            [crops, bank.features[photographed & (bank.view <= 1)], bank.features[chosen]]
        )
    )


def _crop(photo: Image.Image, rng: np.random.Generator) -> Pixels:
    side = int(rng.integers(120, min(photo.size) + 1))
    left = int(rng.integers(0, photo.width - side + 1))
    top = int(rng.integers(0, photo.height - side + 1))
    crop = photo.crop((left, top, left + side, top + side))
    return np.asarray(crop.resize((224, 224), Image.Resampling.BICUBIC))
