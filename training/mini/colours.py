"""Basic colour and pattern words, and what pixels they stand for.

The eleven basic colour terms of English (Berlin & Kay 1969), each as ranges of hue, saturation and
value, to paint with and to name pixels by.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    values = rgb.astype(np.float32) / 255.0
    top, low = values.max(-1), values.min(-1)
    spread = top - low
    saturation = spread / np.maximum(top, 1e-6)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    safe = np.maximum(spread, 1e-6)
    hue = np.where(
        top == red,
        ((green - blue) / safe) % 6.0,
        np.where(top == green, (blue - red) / safe + 2.0, (red - green) / safe + 4.0),
    )
    hue = hue * 60.0
    names = np.full(top.shape, COLOURS.index("red"), dtype=np.int64)
    for colour, start, stop in (
        ("orange", 15, 42),
        ("yellow", 42, 68),
        ("green", 68, 172),
        ("blue", 172, 256),
        ("purple", 256, 306),
        ("pink", 306, 346),
    ):
        names[(hue >= start) & (hue < stop)] = COLOURS.index(colour)
    pale_red = ((hue >= 346) | (hue < 12)) & (saturation < 0.55) & (top > 0.75)
    names[pale_red] = COLOURS.index("pink")
    dark_pink = (hue >= 306) & (hue < 346) & (top < 0.6)
    names[dark_pink] = COLOURS.index("purple")
    brown = (hue >= 8) & (hue < 45) & ((top < 0.6) | ((saturation < 0.55) & (top < 0.8)))
    names[brown] = COLOURS.index("brown")
    plain = (saturation < 0.14) | (spread < 0.06)
    names[plain & (top >= 0.85)] = COLOURS.index("white")
    names[plain & (top < 0.85)] = COLOURS.index("grey")
    dark = (top < 0.12) | ((top < 0.2) & (saturation < 0.42)) | (plain & (top < 0.25))
    names[dark] = COLOURS.index("black")
    return names


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
