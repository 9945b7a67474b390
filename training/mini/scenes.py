"""Turns a cut-out picture into scenes that look a little more like photos.

The trunk was trained on photos, and the users' images are photos; a drawing on white is far from
both. So each picture is seen plain, on photographed backgrounds, as a pile of many, and tinted.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

from training.mini.colours import COLOURS, PATTERNS, colour_shares, sample_paint
from training.mini.trunk import IMAGE_SIZE, Floats, Pixels

VIEWS = ("plain", "photo", "pile", "tinted")
BACKGROUND_FOLDER = Path("/usr/share/backgrounds")


@dataclass(frozen=True)
class Scene:
    """One training image and what is known of its looks.

    Attributes:
        pixels: ``(224, 224, 3)`` uint8 RGB.
        colours: ``(11,)`` shares of the basic colours on the thing itself.
        pattern: Index into ``PATTERNS``, or -1 where unknown.
    """

    pixels: Pixels
    colours: Floats
    pattern: int


def load_backgrounds(
    longest: int = 640, root: Path = BACKGROUND_FOLDER, limit: int = 80
) -> list[Image.Image]:
    """Photographs to paste on and to cut from, at most ``longest`` pixels, in a fixed order."""
    found: list[Image.Image] = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp") or path.is_symlink():
            continue
        try:
            opened = Image.open(path)
            opened.draft("RGB", (3 * longest // 2, 3 * longest // 2))
            image = opened.convert("RGB")
        except OSError:
            continue
        image.thumbnail((longest, longest))
        if min(image.size) >= 224:
            found.append(image)
        if len(found) == limit:
            break
    return found


def cut_out(picture: Image.Image) -> Image.Image:
    """Make a white surround transparent and crop to what is left; RGBA in, RGBA out."""
    values = np.asarray(picture).copy()
    if (values[..., 3] > 250).mean() > 0.98 and _has_white_border(values):
        values[..., 3] = np.where(_outside_white(values[..., :3]), 0, 255)
    box = Image.fromarray(values[..., 3]).point(lambda a: 255 if a > 16 else 0).getbbox()
    cut = Image.fromarray(values)
    return cut.crop(box) if box else cut


def _has_white_border(values: Pixels) -> bool:
    edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])[:, :3]
    return bool((edge.min(-1) > 235).mean() > 0.6)


def _outside_white(rgb: Pixels) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import label  # type: ignore[import-untyped]

    regions, _ = label(rgb.min(-1) > 235)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.asarray(np.isin(regions, np.unique(edge[edge > 0])))


def any_square(
    photo: Image.Image, side: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Choose the box of a square in a photograph: left, top, right, bottom."""
    left = int(rng.integers(0, photo.width - side + 1))
    top = int(rng.integers(0, photo.height - side + 1))
    return left, top, left + side, top + side


def background(backgrounds: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Make what lies behind things, ``(224, 224)``: a cut of a photograph, or a ramp of colours."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    if not backgrounds or rng.random() < 0.25:
        low, high = rng.integers(40, 256, 3), rng.integers(40, 256, 3)
        if rng.random() < 0.5:
            low = high = np.full(3, int(rng.integers(120, 256)))
        ramp = np.linspace(0, 1, IMAGE_SIZE)[:, None, None]
        flat = np.broadcast_to(low * (1 - ramp) + high * ramp, (IMAGE_SIZE, IMAGE_SIZE, 3))
        noise = rng.normal(0, 4, flat.shape)
        return Image.fromarray(np.clip(flat + noise, 0, 255).astype(np.uint8))
    photo = backgrounds[int(rng.integers(len(backgrounds)))]
    side = int(rng.integers(100, min(photo.size) + 1))
    crop = photo.crop(any_square(photo, side, rng)).resize(size)
    return crop.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 4))))


def placed(cut: Image.Image, longest: int, angle: float) -> Image.Image:
    """Enlarge or shrink a cut-out to ``longest`` pixels, and turn it by ``angle`` degrees."""
    scale = longest / max(cut.size)
    sized = cut.resize(
        (max(1, round(cut.width * scale)), max(1, round(cut.height * scale))),
        Image.Resampling.BICUBIC,
    )
    return sized.rotate(angle, Image.Resampling.BICUBIC, expand=True) if angle else sized


def shaded(cut: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light a cut-out from one side."""
    values = np.asarray(cut).astype(np.float32)
    height, width = values.shape[:2]
    across = np.linspace(-1, 1, width)[None, :] * rng.uniform(-0.35, 0.35)
    down = np.linspace(-1, 1, height)[:, None] * rng.uniform(-0.35, 0.35)
    values[..., :3] *= (rng.uniform(0.75, 1.1) + across + down)[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def camera(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Make a picture ``(224, 224)`` as a camera would have it.

    Less sharp, less rich in contrast, in the light of a lamp, which is warmer than the day more
    often than colder, noisy, and often a JPEG. Colours are those of things, not of the light.
    """
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.3))))
    image = ImageEnhance.Contrast(image).enhance(float(rng.uniform(0.75, 1.15)))
    if rng.random() < 0.5:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=int(rng.integers(35, 90)))
        image = Image.open(stored).convert("RGB")
    warmth, tinge = rng.normal(0.05, 0.1), rng.normal(0, 0.03)
    light = np.exp(np.array([warmth, tinge, -warmth]))
    noise = rng.normal(0, rng.uniform(0, 6), (224, 224, 3))
    values = np.asarray(image).astype(np.float32) * light + noise
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def drawn_relief(values: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Say how much lighter each pixel is drawn than the middle of the thing, to shade paint by.

    Args:
        values: ``(H, W, 4)`` RGBA in 0..255.

    Returns:
        ``(H, W)`` lightness in 0..1 less its median over what is seen, and ``(H, W)`` what is seen.
    """
    light = values[..., :3].mean(-1) / 255.0
    seen = values[..., 3] > 32
    middle = float(np.median(light[seen])) if seen.any() else 0.5
    return light - middle, seen


def tint(cut: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Floats, int]:
    """Paint a cut-out in one basic colour, or in two as stripes, dots or checks.

    Returns:
        The painted cut-out, its ``(11,)`` colour shares and its pattern's index.
    """
    values = np.asarray(cut).astype(np.float32)
    relief, seen = drawn_relief(values)
    depth = float(rng.uniform(0.15, 0.9))
    shade = np.clip(1.0 + depth * relief, 0.35, 1.3)[..., None]
    first, second = rng.choice(len(COLOURS), 2, replace=False)
    paint = np.broadcast_to(sample_paint(COLOURS[first], rng), values[..., :3].shape)
    shares = np.zeros(len(COLOURS), dtype=np.float32)
    pattern = 0 if rng.random() < 0.7 else int(rng.integers(1, len(PATTERNS)))
    share = 0.0
    if pattern:
        mask = _pattern_mask(PATTERNS[pattern], values.shape[0], values.shape[1], rng)
        paint = np.where(mask[..., None], sample_paint(COLOURS[second], rng), paint)
        share = float(mask[seen].mean()) if seen.any() else 0.0
    shares[first], shares[second] = 1.0 - share, share
    values[..., :3] = np.clip(paint * shade * 255.0, 0, 255)
    return Image.fromarray(values.astype(np.uint8)), shares, pattern


def _pattern_mask(
    pattern: str, height: int, width: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    period = max(4.0, max(height, width) / float(rng.uniform(4, 16)))
    angle = rng.uniform(-0.2, 0.2) + (np.pi / 2 if rng.random() < 0.5 else 0.0)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (np.cos(angle) * columns + np.sin(angle) * rows) / period
    v = (-np.sin(angle) * columns + np.cos(angle) * rows) / period
    width_of_mark = rng.uniform(0.3, 0.6)
    if pattern == "striped":
        return np.asarray(u % 1.0 < width_of_mark)
    if pattern == "dotted":
        return np.asarray(np.hypot(u % 1.0 - 0.5, v % 1.0 - 0.5) < rng.uniform(0.2, 0.38))
    return np.asarray((u % 1.0 < 0.5) ^ (v % 1.0 < 0.5))


def paste_at(canvas: Image.Image, thing: Image.Image, centre: tuple[float, float]) -> None:
    """Paste a cut-out with its middle at ``centre``: pixels from the left and from the top."""
    corner = (round(centre[0] - thing.width / 2), round(centre[1] - thing.height / 2))
    canvas.paste(thing, corner, thing)


def compose(
    cut: Image.Image,
    view: str,
    backgrounds: Sequence[Image.Image],
    rng: np.random.Generator,
) -> Scene:
    """Make one scene of a cut-out picture.

    Args:
        cut: RGBA, as `cut_out` leaves it.
        view: One of `VIEWS`.
        backgrounds: Photographs to paste on; may be empty.
        rng: All randomness comes from it.
    """
    shares, pattern = _own_colours(cut), -1
    if view == "tinted":
        cut, shares, pattern = tint(cut, rng)
    white = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), (255, 255, 255))
    if view == "plain":
        paste_at(white, placed(cut, int(rng.integers(130, 222)), 0), (112, 112))
        return Scene(np.asarray(white), shares, pattern)
    # Goods are photographed on white, and white goods look grey to who never saw them there.
    on_white = 0.5 if view == "tinted" else 0.2
    canvas = white if rng.random() < on_white else background(backgrounds, rng)
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if view == "pile":
        longest = int(rng.integers(60, 130))
        turned = [shaded(placed(cut, longest, float(rng.uniform(-60, 60))), rng) for _ in range(4)]
        for count in range(min(24, round(2.5 * (IMAGE_SIZE / longest) ** 2))):
            thing = turned[count % len(turned)]
            paste_at(canvas, thing, (float(rng.uniform(0, 224)), float(rng.uniform(0, 224))))
    else:
        thing = placed(cut, int(rng.integers(110, 260)), float(rng.uniform(-25, 25)))
        centre = (float(rng.uniform(82, 142)), float(rng.uniform(82, 142)))
        paste_at(canvas, shaded(thing, rng), centre)
    return Scene(np.asarray(camera(canvas, rng)), shares, pattern)


def _own_colours(cut: Image.Image) -> Floats:
    small = cut.copy()
    small.thumbnail((96, 96))
    values = np.asarray(small)
    return colour_shares(values[..., :3], values[..., 3].astype(np.float32) / 255.0)
