"""Teaches a small CLIP text tower where texts lie in the joint space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training.mini.colours import COLOUR_SYNONYMS, COLOURS, PATTERN_SYNONYMS, PATTERNS
from training.mini.space import EMBED_DIM, SIGHT_DIM, join_axes, one_of
from training.mini.trunk import Floats
from training.mini.vocabulary import GARMENTS, THINGS_AND_COLOURS, dressed, split_looks

CONTEXT = 32
WIDTH = 256
LAYERS = 4
HEADS = 4
LOOK_WORDS = frozenset((*COLOURS, "gray", *chain(*PATTERN_SYNONYMS.values()))) - {"orange"}
NO_THING = ("thing", "object", "item", "product", "one", "something", "colour", "color", "tone")
# Weight of a look beside a sight of 1, in a name and in a description. Said of one thing among
# others like it, a look must not drown what the thing is.
_IN_NAME = 0.3
_DESCRIBED = 0.5


@dataclass(frozen=True)
class Lesson:
    """Texts and where they belong: ``(N,)`` strings, ``(N, 704)`` unit vectors."""

    texts: list[str]
    targets: Floats


class Curriculum:
    """Draws lessons: each epoch dresses the same contents anew.

    Args:
        contents: ``N`` texts.
        sights: ``(N, 240)`` where they belong, colours and patterns apart.
        repeat: ``(N,)`` how often each is drawn in an epoch, on average.
    """

    def __init__(self, contents: Sequence[str], sights: Floats, repeat: Floats) -> None:
        self._contents = list(contents)
        self._sights = sights
        self._repeat = repeat
        self._both = {text: i for i, text in enumerate(contents) if text in THINGS_AND_COLOURS}
        self._things = [
            i
            for i, text in enumerate(contents)
            if len(text.split()) <= 2 and split_looks(text)[0] == text.lower()
        ]
        self._worn = frozenset(GARMENTS)
        self._garments = [i for i, text in enumerate(contents) if text in self._worn]

    def epoch(self, rng: np.random.Generator) -> Lesson:
        """Draw one epoch's lesson."""
        counts = np.floor(self._repeat + rng.random(len(self._contents))).astype(int)
        plain = np.repeat(np.arange(len(self._contents)), counts)
        coloured = rng.integers(len(self._things), size=len(plain) // 8)
        texts: list[str] = []
        colour = np.zeros((len(plain) + 2 * len(coloured), len(COLOURS)), dtype=np.float32)
        pattern = np.zeros((len(colour), len(PATTERNS)), dtype=np.float32)
        sight = np.zeros((len(colour), SIGHT_DIM), dtype=np.float32)
        for row, place in enumerate(plain):
            index = int(place)
            text = self._contents[index]
            _, named, patterned = split_looks(text)
            # A word for a look is nothing else to see, or reds would be told by their names.
            alone = text.lower() in LOOK_WORDS
            weight = 1.0 if alone else _IN_NAME
            for word in named:
                colour[row] += weight * one_of(len(COLOURS), COLOURS.index(word)) / len(named)
            for word in patterned:
                # Plain yoghurt and solid oak are of no pattern.
                if alone or word != "plain":
                    code = one_of(len(PATTERNS), PATTERNS.index(word))
                    pattern[row] += weight * code / len(patterned)
            if not alone:
                sight[row] = self._sights[index]
            texts.append(dressed(text, rng))
        for row, draw in enumerate(np.concatenate([coloured, coloured]), start=len(plain)):
            index = (
                int(self._things[draw]) if rng.random() < 0.6 else int(rng.choice(self._garments))
            )
            thing, weight = self._contents[index], _DESCRIBED
            worn = thing in self._worn
            if rng.random() < 0.2:
                bare = rng.random() < 0.4
                thing = "" if bare else NO_THING[int(rng.integers(len(NO_THING)))]
                worn, weight = True, 1.0
            else:
                sight[row] = self._sights[index]
            looks = []
            chosen = rng.random()
            if chosen < 0.75:
                key = COLOURS[int(rng.integers(len(COLOURS)))]
                words = COLOUR_SYNONYMS[key]
                word = words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]
                looks.append(word + ("-coloured" if rng.random() < 0.05 else ""))
                colour[row] = weight * one_of(len(COLOURS), COLOURS.index(key))
            if chosen > 0.6:
                key = PATTERNS[int(rng.integers(len(PATTERNS)))]
                words = PATTERN_SYNONYMS[key]
                looks.append(words[int(rng.integers(len(words)))])
                if worn or key != "plain":
                    pattern[row] = weight * one_of(len(PATTERNS), PATTERNS.index(key))
            described = " ".join([*looks, thing]).strip()
            if described in self._both:
                sight[row] = self._sights[self._both[described]]
                colour[row] *= _IN_NAME
            elif thing in ("colour", "color") and rng.random() < 0.5:
                described = f"{thing} {' '.join(looks)}"
            elif thing and rng.random() < 0.15:
                described = f"{thing} in {' '.join(looks)}"
            texts.append(dressed(described, rng))
        return Lesson(texts, join_axes(sight, colour, pattern))


def text_config() -> dict[str, Any]:
    """The text part of the open_clip model config."""
    return {
        "context_length": CONTEXT,
        "vocab_size": 49408,
        "width": WIDTH,
        "heads": HEADS,
        "layers": LAYERS,
    }


def build_tower() -> torch.nn.Module:
    """Make an untrained open_clip text tower."""
    from open_clip.transformer import TextTransformer

    tower: torch.nn.Module = TextTransformer(
        context_length=CONTEXT,
        vocab_size=49408,
        width=WIDTH,
        heads=HEADS,
        layers=LAYERS,
        output_dim=EMBED_DIM,
    )
    return tower


def tokenizer() -> Any:
    """The tokenizer of the tower: open_clip's default byte-pair encoding."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=CONTEXT)


def token_words(coder: Any) -> list[str]:
    """What each of the 49,408 tokens spells, without end-of-word marks."""
    spelled = []
    for index in range(len(coder.encoder)):
        letters = coder.decoder[index].replace("</w>", "")
        raw = bytearray(coder.byte_decoder.get(letter, 32) for letter in letters)
        spelled.append(raw.decode("utf-8", errors="ignore").strip() or "of")
    return spelled


def embed_texts(tower: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Unit embeddings ``(N, 704)`` of tokens ``(N, L)``, ``L`` at most 32.

    The tower reads causally, so padding after the end of a text changes nothing, and texts that are
    short may be cut to their length.
    """
    length = tokens.shape[1]
    hidden = tower.token_embedding(tokens) + tower.positional_embedding[:length]
    hidden = tower.transformer(hidden, attn_mask=tower.attn_mask[:length, :length])
    hidden = tower.ln_final(hidden)
    ends = hidden[torch.arange(len(tokens)), tokens.argmax(-1)]
    return functional.normalize((ends @ tower.text_projection).float(), dim=-1)


def train_tower(
    tower: Any,
    curriculum: Curriculum,
    epochs: int,
    seed: int,
    batch: int = 512,
    rate: float = 1e-3,
    word_rate: float = 3e-3,
) -> None:
    """Fit the tower: cosine to the target, and telling the texts of a batch apart.

    Args:
        tower: Trained in place.
        curriculum: Source of the texts.
        epochs: Passes over it.
        seed: Of the draws.
        batch: Texts in a step; all of about the same length.
        rate: Peak learning rate of the layers.
        word_rate: Peak learning rate of the tokens' rows, of which a step moves those it meets.
    """
    from rich.progress import Progress

    rng = np.random.default_rng(seed)
    coder = tokenizer()
    table = tower.token_embedding.weight
    tower.token_embedding.sparse = True
    layers = [p for p in tower.parameters() if p is not table]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.SparseAdam([table], betas=(0.9, 0.98)),
        torch.optim.AdamW(layers, weight_decay=0.01, betas=(0.9, 0.98), foreach=True),
    ]
    peaks = (word_rate, rate)
    with Progress() as progress:
        task = progress.add_task("text tower", total=epochs)
        for epoch in range(epochs):
            lesson = curriculum.epoch(rng)
            tokens = coder(lesson.texts)
            lengths = tokens.argmax(-1) + 1
            noisy = lengths.numpy() + rng.random(len(lengths)) * 2
            order = np.argsort(noisy)
            starts = rng.permutation(np.arange(0, len(order) - batch + 1, batch))
            targets = torch.from_numpy(lesson.targets)
            total = 0.0
            for step, start in enumerate(starts):
                done = (epoch + step / len(starts)) / epochs
                for optimiser, peak in zip(optimisers, peaks, strict=True):
                    optimiser.param_groups[0]["lr"] = peak * min(1, done * 40) * (1 - 0.98 * done)
                chosen = torch.from_numpy(order[start : start + batch])
                words = tokens[chosen, : int(lengths[chosen].max())]
                with torch.autocast("cpu", torch.bfloat16):
                    found = embed_texts(tower, words)
                wanted = targets[chosen]
                cosine = (found * wanted).sum(-1)
                near = functional.log_softmax(found @ wanted.T * 20, dim=-1)
                ought = functional.softmax(wanted @ wanted.T * 20, dim=-1)
                loss = (1 - cosine).mean() + 0.1 * (-(ought * near).sum(-1)).mean()
                tower.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                for optimiser in optimisers:
                    optimiser.step()
                total += float(cosine.mean().detach())
                progress.update(task, completed=done * epochs)
            progress.console.print(f"epoch {epoch + 1}: mean cosine {total / len(starts):.4f}")
