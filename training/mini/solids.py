"""The forms of packages, as surfaces with places in a print.

A print is twice as wide as high. Left half: the front and the back; right half: the sides. The
uppermost 15 % belong to the lid or the roof.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from training.mini.trunk import Floats

_LID = 0.85
_SECTORS = 28

Surfaces = tuple[Floats, Floats]
Corner = tuple[float, float, float]


def _quads(
    listed: Sequence[tuple[Sequence[Corner], tuple[float, float, float, float]]],
) -> Surfaces:
    """Join faces: four corners from the lower left, and their part of the print."""
    corners = np.array([face for face, _ in listed], dtype=np.float32)
    parts = [part for _, part in listed]
    places = np.array(
        [
            [(left, low), (right, low), (right, high), (left, high)]
            for left, low, right, high in parts
        ],
        dtype=np.float32,
    )
    return corners, places


def _walls(
    w: float, h: float, d: float
) -> list[tuple[list[Corner], tuple[float, float, float, float]]]:
    front, side = (0.0, 0.0, 0.5, _LID), (0.5, 0.0, 1.0, _LID)
    return [
        ([(-w, 0, d), (w, 0, d), (w, h, d), (-w, h, d)], front),
        ([(w, 0, -d), (-w, 0, -d), (-w, h, -d), (w, h, -d)], front),
        ([(w, 0, d), (w, 0, -d), (w, h, -d), (w, h, d)], side),
        ([(-w, 0, -d), (-w, 0, d), (-w, h, d), (-w, h, -d)], side),
    ]


def box(
    rng: np.random.Generator, high: tuple[float, float] = (1.0, 1.6), deep: float = 0.6
) -> Surfaces:
    """A box: of cereals, of tea."""
    w, h, d = 0.5, float(rng.uniform(*high)), 0.5 * deep * float(rng.uniform(0.5, 1.2))
    lid = (0.0, _LID, 0.5, 1.0)
    top: list[Corner] = [(-w, h, d), (w, h, d), (w, h, -d), (-w, h, -d)]
    return _quads([*_walls(w, h, d), (top, lid)])


def flat_box(rng: np.random.Generator) -> Surfaces:
    """A box that lies, its front above: of pizza, of chocolate."""
    w, h, d = 0.5, float(rng.uniform(0.06, 0.25)), float(rng.uniform(0.25, 0.5))
    top: list[Corner] = [(-w, h, d), (w, h, d), (w, h, -d), (-w, h, -d)]
    side = (0.5, 0.0, 1.0, _LID)
    return _quads(
        [*((corners, side) for corners, _ in _walls(w, h, d)), (top, (0.0, 0.0, 0.5, _LID))]
    )


def brick(rng: np.random.Generator) -> Surfaces:
    """A carton with a flat top: of long-life milk."""
    return box(rng, high=(1.5, 2.4), deep=0.9)


def carton(rng: np.random.Generator) -> Surfaces:
    """A carton with a roof and a fin: of fresh milk."""
    w, d, h = 0.5, 0.5 * float(rng.uniform(0.8, 1.0)), float(rng.uniform(1.3, 2.1))
    roof, fin = h + 0.45 * w * 2, h + 0.6 * w * 2
    lid, gable = (0.0, _LID, 0.5, 1.0), (0.5, _LID, 1.0, 1.0)
    more: list[tuple[list[Corner], tuple[float, float, float, float]]] = [
        ([(-w, h, d), (w, h, d), (w, roof, 0), (-w, roof, 0)], lid),
        ([(w, h, -d), (-w, h, -d), (-w, roof, 0), (w, roof, 0)], lid),
        ([(w, h, d), (w, h, -d), (w * 0.9, roof, 0), (w * 0.9, roof, 0)], gable),
        ([(-w, h, -d), (-w, h, d), (-w * 0.9, roof, 0), (-w * 0.9, roof, 0)], gable),
        ([(-w, roof, 0.01), (w, roof, 0.01), (w, fin, 0.01), (-w, fin, 0.01)], lid),
    ]
    return _quads([*_walls(w, h, d), *more])


def _lathe(profile: Sequence[tuple[float, float, float]]) -> Surfaces:
    """Turn a profile of (radius, height, place in the print from below) around the upright axis."""
    faces = []
    angles = np.linspace(0, 2 * np.pi, _SECTORS + 1)
    for (r0, y0, v0), (r1, y1, v1) in itertools.pairwise(profile):
        for i, (a, b) in enumerate(itertools.pairwise(angles)):
            corners: list[Corner] = [
                (r0 * np.sin(a), y0, r0 * np.cos(a)),
                (r0 * np.sin(b), y0, r0 * np.cos(b)),
                (r1 * np.sin(b), y1, r1 * np.cos(b)),
                (r1 * np.sin(a), y1, r1 * np.cos(a)),
            ]
            # The middle of the front faces z.
            left, right = ((i / _SECTORS + 0.25) % 1.0, (i / _SECTORS + 0.25) % 1.0 + 1 / _SECTORS)
            faces.append((corners, (left, v0, right, v1)))
    return _quads(faces)


def can(rng: np.random.Generator) -> Surfaces:
    """A tin or a drinks can."""
    return _cylinder(float(rng.uniform(0.9, 2.0)))


def flat_can(rng: np.random.Generator) -> Surfaces:
    """A low tin: of fish, of cream."""
    return _cylinder(float(rng.uniform(0.25, 0.5)))


def _cylinder(h: float) -> Surfaces:
    return _lathe(
        [
            (0.46, 0, 0.02),
            (0.5, 0.04, 0.04),
            (0.5, h, _LID),
            (0.46, h + 0.04, 0.9),
            (0, h + 0.03, 1),
        ]
    )


def tub(rng: np.random.Generator) -> Surfaces:
    """A pot that widens upwards, with a lid: of yoghurt, of ice cream."""
    h, foot = float(rng.uniform(0.5, 1.1)), float(rng.uniform(0.36, 0.46))
    rim = 0.53
    return _lathe(
        [
            (0, 0, 0),
            (foot, 0, 0.02),
            (0.5, h, _LID),
            (rim, h, 0.87),
            (rim, h + 0.06, 0.9),
            (0, h + 0.06, 1),
        ]
    )


def jar(rng: np.random.Generator) -> Surfaces:
    """A jar with a screw lid: of jam."""
    h, lid = float(rng.uniform(0.8, 1.4)), float(rng.uniform(0.38, 0.5))
    return _lathe(
        [
            (0.44, 0, 0),
            (0.5, 0.08, 0.05),
            (0.5, h - 0.12, 0.8),
            (lid, h, _LID),
            (lid, h + 0.2, 0.97),
            (0, h + 0.2, 1),
        ]
    )


def bottle(rng: np.random.Generator) -> Surfaces:
    """A bottle with a neck and a cap."""
    h, neck = float(rng.uniform(1.4, 2.6)), float(rng.uniform(0.12, 0.24))
    shoulder = h * float(rng.uniform(0.55, 0.8))
    return _lathe(
        [
            (0.44, 0, 0),
            (0.5, 0.06, 0.03),
            (0.5, shoulder, 0.74),
            (0.5 * (0.5 + neck), 0.5 * (shoulder + h), 0.8),
            (neck, h, _LID),
            (neck * 1.1, h + 0.22, 0.97),
            (0, h + 0.22, 1),
        ]
    )


def bag(rng: np.random.Generator) -> Surfaces:
    """A filled bag, closed above and below: of crisps, of coffee."""
    h, thick = float(rng.uniform(1.0, 1.6)), float(rng.uniform(0.15, 0.35))
    steps = 8
    across, up = np.linspace(-0.5, 0.5, steps + 1), np.linspace(0, h, steps + 1)
    bulge = np.sqrt(np.clip(1 - (2 * across) ** 2, 0, 1))
    rise = np.sqrt(np.clip(1 - (2 * up / h - 1) ** 4, 0, 1))
    depth = thick * np.outer(rise, bulge) * (1 + rng.normal(0, 0.06, (steps + 1, steps + 1)))
    faces = []
    for sign in (1.0, -1.0):
        for i in range(steps):
            for j in range(steps):
                at = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
                corners: list[Corner] = [
                    (float(across[b]), float(up[a]), sign * float(depth[a, b])) for a, b in at
                ]
                faces.append(
                    (corners, (0.5 * j / steps, i / steps, 0.5 * (j + 1) / steps, (i + 1) / steps))
                )
    return _quads(faces)


SHAPES: Mapping[str, Callable[[np.random.Generator], Surfaces]] = {
    "bag": bag,
    "bottle": bottle,
    "box": box,
    "brick": brick,
    "can": can,
    "carton": carton,
    "flat box": flat_box,
    "flat can": flat_can,
    "jar": jar,
    "tub": tub,
}
