"""Basic colour and pattern words, and what pixels they stand for.

The eleven basic colour terms of English (Berlin & Kay 1969). Paint is drawn from the middle of
each, ranges of hue, saturation and value. Pixels are named as people named colours on their screens
(R. Munroe, Color Survey Results, 2010; CC0): olive is a green, and a dark yellow is a brown.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.mini.trunk import Floats, Pixels

COLOURS = (
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
)
PATTERNS = ("plain", "striped", "dotted", "checked")

COLOUR_SYNONYMS = {
    "black": ("black", "jet black", "ebony"),
    "white": ("white", "snow white", "ivory", "off-white"),
    "grey": ("grey", "gray", "charcoal", "silver"),
    "red": ("red", "scarlet", "crimson", "dark red", "maroon", "burgundy"),
    "orange": ("orange", "tangerine", "amber"),
    "yellow": ("yellow", "golden", "mustard", "lemon yellow"),
    "green": ("green", "olive", "lime green", "dark green", "light green", "emerald", "mint"),
    "blue": ("blue", "navy", "navy blue", "light blue", "sky blue", "dark blue", "azure"),
    "purple": ("purple", "violet", "lilac", "lavender", "mauve"),
    "pink": ("pink", "hot pink", "rose pink", "fuchsia", "magenta"),
    "brown": ("brown", "dark brown", "light brown", "tan", "chocolate brown"),
}
PATTERN_SYNONYMS = {
    "plain": ("plain", "solid", "solid coloured", "single-coloured", "unpatterned"),
    "striped": ("striped", "stripes", "stripy", "pinstriped"),
    "dotted": ("dotted", "polka dot", "spotted", "polka dots"),
    "checked": ("checked", "checkered", "plaid", "tartan", "gingham"),
}


@dataclass(frozen=True)
class Range:
    """A box in HSV: hue in degrees (may wrap past 360), saturation and value in 0..1."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


_STEP = 8  # bytes that are named alike

PAINTS: dict[str, tuple[Range, ...]] = {
    "black": (Range((0, 360), (0.0, 0.4), (0.02, 0.14)),),
    "white": (Range((0, 360), (0.0, 0.05), (0.92, 1.0)),),
    "grey": (Range((0, 360), (0.0, 0.08), (0.3, 0.75)),),
    "red": (Range((350, 368), (0.7, 1.0), (0.3, 0.95)),),
    "orange": (Range((20, 36), (0.75, 1.0), (0.8, 1.0)),),
    "yellow": (Range((46, 62), (0.45, 1.0), (0.72, 1.0)),),
    "green": (
        Range((80, 160), (0.4, 1.0), (0.25, 0.85)),
        Range((69, 90), (0.4, 1.0), (0.4, 0.95)),
        Range((75, 150), (0.45, 1.0), (0.14, 0.3)),
    ),
    "blue": (Range((200, 248), (0.45, 1.0), (0.25, 0.95)),),
    "purple": (
        Range((266, 298), (0.35, 1.0), (0.35, 0.8)),
        Range((272, 318), (0.45, 0.9), (0.14, 0.35)),
    ),
    "pink": (Range((318, 352), (0.25, 0.6), (0.88, 1.0)),),
    "brown": (Range((14, 32), (0.45, 0.85), (0.22, 0.55)),),
}


def sample_paint(colour: str, rng: np.random.Generator) -> Floats:
    """Draw one RGB value, ``(3,)`` in 0..1, that people would call ``colour``."""
    import colorsys

    choices = PAINTS[colour]
    box = choices[int(rng.integers(len(choices)))]
    hue, saturation, value = (
        float(rng.uniform(*side)) for side in (box.hue, box.saturation, box.value)
    )
    return np.array(colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value), dtype=np.float32)


def name_pixels(rgb: Pixels) -> npt.NDArray[np.int64]:
    """Name each pixel.

    Args:
        rgb: ``(..., 3)`` uint8.

    Returns:
        ``(...)`` indices into `COLOURS`.

    >>> pixels = np.array([[250, 10, 10], [20, 30, 200], [128, 128, 128]], dtype=np.uint8)
    >>> [COLOURS[i] for i in name_pixels(pixels)]
    ['red', 'blue', 'grey']
    """
    top, low = rgb.max(-1) / 255.0, rgb.min(-1) / 255.0
    spread = top - low
    saturation = spread / np.maximum(top, 1e-6)
    red, green, blue = np.moveaxis(rgb // _STEP, -1, 0)
    names = np.array(_named_by_people()[red, green, blue])
    plain = (saturation < 0.14) | (spread < 0.06)
    names[plain & (top >= 0.85)] = COLOURS.index("white")
    names[plain & (top < 0.85)] = COLOURS.index("grey")
    dark = (top < 0.12) | ((top < 0.2) & (saturation < 0.42)) | (plain & (top < 0.25))
    names[dark] = COLOURS.index("black")
    return names


@functools.cache
def _named_by_people() -> npt.NDArray[np.int64]:
    """Name every eighth of red, green and blue, ``(32, 32, 32)`` indices into `COLOURS`.

    By the five nearest in CIELAB of the survey's 949 names, where they hold one basic term. It says
    little of black, white and grey: what is nearly so has a name of its own ("very light pink").
    """
    from matplotlib.colors import XKCD_COLORS, to_rgb
    from sklearn.neighbors import KNeighborsClassifier

    term_of = {word: term for term in COLOURS for word in (term, *COLOUR_SYNONYMS[term])}
    seen, terms = [], []
    for name, value in XKCD_COLORS.items():
        words = name.removeprefix("xkcd:").replace("/", " ").split()
        said = {term_of[word] for word in words if word in term_of}
        if len(said) == 1 and not said & {"black", "white", "grey"}:
            seen.append(np.round(255 * np.array(to_rgb(value))))
            terms.append(COLOURS.index(said.pop()))
    people = KNeighborsClassifier(5, weights="distance").fit(_lab(np.array(seen)), terms)
    middles = np.indices((256 // _STEP,) * 3).reshape(3, -1).T * _STEP + _STEP // 2
    return np.asarray(people.predict(_lab(middles))).reshape((256 // _STEP,) * 3)


def _lab(rgb: npt.NDArray[Any]) -> Floats:
    """Turn colours ``(N, 3)`` of 0..255 into CIELAB ``(N, 3)``."""
    from PIL import Image, ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    line = ImageCms.applyTransform(Image.fromarray(rgb.astype(np.uint8)[None]), to_lab)
    light, *rest = (np.asarray(line)[0, :, part] for part in range(3))
    # Pillow keeps a and b in bytes, with a sign.
    return np.stack([light * (100 / 255), *(part.astype(np.int8) for part in rest)], axis=1).astype(
        np.float32
    )


def colour_shares(rgb: Pixels, weight: Floats) -> Floats:
    """Share of each basic colour among the pixels, weighted.

    Args:
        rgb: ``(H, W, 3)`` uint8.
        weight: ``(H, W)``, at least 0; how much a pixel counts.

    Returns:
        ``(11,)``, sums to 1 (all zero when no pixel counts).
    """
    counts = np.bincount(name_pixels(rgb).ravel(), weights=weight.ravel(), minlength=len(COLOURS))
    total = counts.sum()
    return (counts / total if total > 0 else counts).astype(np.float32)
