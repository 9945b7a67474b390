"""Measures a finished model: ``python -m training.mini.evaluate FOLDER`` prints JSON.

Each part is ``null`` where its data are not on this machine. None of it is ever trained on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from rac.spreading import spread_scores
from training.mini.colours import COLOURS
from training.mini.export import LOGIT_SCALE
from training.mini.scenes import tint
from training.mini.trunk import Floats

TEMPLATES = ("{}", "a photo of a {}.", "a photo of {}", "a product photo of a {}")
COLOUR_TEMPLATES = ("{}", "a {} thing", "a photo of a {} object", "the colour {}")
TUXPAINT = Path("/usr/share/tuxpaint/stamps")
FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_NAMES = (
    "t-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
# Fine grocery classes that come in one colour only.
PRODUCE_COLOURS = {
    "Granny-Smith": "green",
    "Banana": "yellow",
    "Lemon": "yellow",
    "Lime": "green",
    "Orange": "orange",
    "Satsumas": "orange",
    "Aubergine": "purple",
    "Carrots": "orange",
    "Cucumber": "green",
    "Zucchini": "green",
    "Green-Bell-Pepper": "green",
    "Red-Bell-Pepper": "red",
    "Yellow-Bell-Pepper": "yellow",
    "Orange-Bell-Pepper": "orange",
    "Regular-Tomato": "red",
    "Beef-Tomato": "red",
    "Vine-Tomato": "red",
    "Avocado": "green",
}


class Model:
    """A finished model, loaded as any open_clip model is."""

    def __init__(self, folder: Path) -> None:
        import open_clip

        from rac.encoders.factory import create_model

        name = f"local-dir:{folder}"
        self._model, self._preprocess, _ = create_model(name)
        self._model.eval()
        self._tokenizer = open_clip.get_tokenizer(name)

    def images(self, images: Iterable[Image.Image], batch: int = 64) -> tuple[Floats, Floats]:
        """Return unit embeddings ``(N, 704)`` and trunk features ``(N, 1280)``."""
        embedded: list[Floats] = []
        features: list[Floats] = []
        waiting: list[torch.Tensor] = []

        def flush() -> None:
            with torch.inference_mode():
                trunk = self._model.visual.trunk(torch.stack(waiting))
                found = functional.normalize(self._model.visual.head(trunk), dim=-1)
            embedded.append(found.numpy())
            features.append(trunk.numpy())
            waiting.clear()

        for image in images:
            waiting.append(self._preprocess(_flat(image)))
            if len(waiting) == batch:
                flush()
        if waiting:
            flush()
        return np.concatenate(embedded), np.concatenate(features)

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return unit embeddings ``(N, 704)``."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), 256):
                tokens = self._tokenizer(list(texts[start : start + 256]))
                found.append(self._model.encode_text(tokens, normalize=True).numpy())
        return np.concatenate(found)

    def prompts(self, names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Floats:
        """Return one unit embedding ``(N, 704)`` a name: the mean over the templates."""
        summed = sum(self.texts([t.format(name) for name in names]) for t in templates)
        return np.asarray(functional.normalize(torch.as_tensor(summed), dim=-1).numpy())


def _flat(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, (255, 255, 255))
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image.convert("RGB")


def _accuracy(guess: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    return round(float((guess == truth).mean()), 4)


def _together(scores: Floats, trunk: Floats, truth: npt.NDArray[np.int64]) -> float:
    return _accuracy(spread_scores(scores, trunk, math.exp(LOGIT_SCALE)).argmax(1), truth)


def grocery_root() -> Path | None:
    """Where the Grocery Store Dataset lies, or None."""
    home = os.environ.get("RAC_DATA_HOME")
    root = Path(home) / "grocery-store" if home else None
    return root if root and (root / "test.txt").exists() else None


def measure_grocery(model: Model, every: int = 1) -> dict[str, float] | None:
    """Zero-shot top-1 on the authors' test split (every ``every``-th row), by class names alone."""
    root = grocery_root()
    if root is None:
        return None
    with (root / "classes.csv").open() as lines:
        classes = list(csv.reader(lines))[1:]
    rows = [line.split(",") for line in (root / "test.txt").read_text().splitlines()][::every]
    embedded, trunk = model.images(Image.open(root / row[0].strip()) for row in rows)
    fine = np.array([int(row[1]) for row in rows])
    coarse = np.array([int(row[2]) for row in rows])
    names = {int(row[3]): row[2] for row in classes}
    found: dict[str, float] = {}
    for key, truth, listed in (
        ("coarse", coarse, [names[i] for i in range(len(names))]),
        ("fine", fine, [row[0] for row in classes]),
    ):
        scores = embedded @ model.prompts([name.replace("-", " ").lower() for name in listed]).T
        found[key] = _accuracy(scores.argmax(1), truth)
        found[f"{key}_together"] = _together(scores, trunk, truth)
    colour_of = {i: PRODUCE_COLOURS[r[0]] for i, r in enumerate(classes) if r[0] in PRODUCE_COLOURS}
    chosen = np.isin(fine, list(colour_of))
    words = model.prompts(COLOURS, COLOUR_TEMPLATES)
    truth = np.array([COLOURS.index(colour_of[int(i)]) for i in fine[chosen]])
    found["colour_of_produce"] = _accuracy((embedded[chosen] @ words.T).argmax(1), truth)
    if every == 1:
        found["trunk_nearest_mean"] = _nearest_mean(model, root, trunk, fine)
    return found


def _nearest_mean(model: Model, root: Path, test: Floats, truth: npt.NDArray[np.int64]) -> float:
    rows = [line.split(",") for line in (root / "train.txt").read_text().splitlines()]
    _, train = model.images(Image.open(root / row[0].strip()) for row in rows)
    labels = np.array([int(row[1]) for row in rows])
    train = train / np.linalg.norm(train, axis=1, keepdims=True)
    means = np.stack([train[labels == label].mean(0) for label in range(labels.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return _accuracy((test @ means.T).argmax(1), truth)


def measure_tuxpaint(model: Model, every: int = 1) -> dict[str, float] | None:
    """Image to text: is a stamp's own caption among the ten nearest of all captions?

    Args:
        model: Whose embeddings are compared.
        every: Ask every ``every``-th stamp only; the captions to choose from stay the same.
    """
    if not TUXPAINT.exists():
        return None
    paths, captions = [], []
    for path in sorted(TUXPAINT.rglob("*.png")):
        text = path.with_suffix(".txt")
        if text.exists() and not path.stem.endswith("_mirror"):
            lines = text.read_text(encoding="utf-8", errors="ignore").splitlines()
            if lines and lines[0].strip():
                paths.append(path)
                captions.append(lines[0].strip())
    listed = list(dict.fromkeys(captions))
    paths, captions = paths[::every], captions[::every]
    embedded, _ = model.images(Image.open(path) for path in paths)
    scores = embedded @ model.texts(listed).T
    own = scores[np.arange(len(paths)), [listed.index(caption) for caption in captions]]
    rank = (scores > own[:, None]).sum(1)
    return {
        "stamps": len(paths),
        "captions": len(listed),
        "recall_at_1": round(float((rank < 1).mean()), 4),
        "recall_at_10": round(float((rank < 10).mean()), 4),
    }


def _fashion(limit: int) -> tuple[list[Image.Image], npt.NDArray[np.int64]] | None:
    images = next(iter(FASHION.rglob("t10k-images*.gz")), None)
    labels = next(iter(FASHION.rglob("t10k-labels*.gz")), None)
    if images is None or labels is None:
        return None
    with gzip.open(images) as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)[:limit]
    with gzip.open(labels) as stream:
        truth = np.frombuffer(stream.read(), np.uint8, offset=8)[:limit].astype(np.int64)
    enlarged = [
        Image.fromarray(255 - one).resize((224, 224), Image.Resampling.BICUBIC) for one in pixels
    ]
    return enlarged, truth


def measure_fashion(model: Model, limit: int = 2000) -> dict[str, float] | None:
    """Fashion-MNIST, inverted and enlarged; and the same painted in one colour each."""
    found = _fashion(limit)
    if found is None:
        return None
    images, truth = found
    embedded, trunk = model.images(images)
    scores = embedded @ model.prompts(FASHION_NAMES).T
    rng = np.random.default_rng(0)
    painted, colours = [], []
    for image in images[:500]:
        grey = np.asarray(image.convert("L"))
        cut = np.dstack([grey, grey, grey, np.where(grey < 245, 255, 0).astype(np.uint8)])
        coloured, shares, pattern = tint(Image.fromarray(cut), rng)
        if pattern == 0:
            painted.append(coloured)
            colours.append(int(shares.argmax()))
    seen, _ = model.images(painted)
    words = model.prompts(COLOURS, COLOUR_TEMPLATES)
    return {
        "top1": _accuracy(scores.argmax(1), truth),
        "top1_together": _together(scores, trunk, truth),
        "colour_of_painted": _accuracy((seen @ words.T).argmax(1), np.array(colours)),
    }


def measure_all(folder: Path) -> dict[str, Any]:
    """Run every measure whose data are here."""
    model = Model(folder)
    parts: dict[str, Callable[[Model], Any]] = {
        "grocery": measure_grocery,
        "tuxpaint": measure_tuxpaint,
        "fashion_mnist": measure_fashion,
    }
    return {name: measure(model) for name, measure in parts.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Measure a finished model.",
        epilog="example: RAC_DATA_HOME=data python -m training.mini.evaluate rac/encoders/mini",
    )
    parser.add_argument("folder", type=Path, help="folder in open_clip's hub layout")
    sys.stdout.write(json.dumps(measure_all(parser.parse_args().folder), indent=2) + "\n")


if __name__ == "__main__":
    main()
