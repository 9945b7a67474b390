"""Keeps training and evaluation apart: finds pictures that are, or nearly are, evaluation images.

Clip art travels: the same drawing sits in several collections. A picture is dropped when its bytes
are an evaluation image's, or when it is a near-duplicate of one: its small grey version differs
little *and* the trunk sees the same. Either alone misfires, on plain discs or on two photos of one
kind of thing.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rac.cards.pictures import png_of_svg
from retrieval_index.arrays import unit_norm
from training.mini.scenebank import thumbnail_of
from training.mini.trunk import Floats, Pixels

EVALUATION_FOLDERS = (Path("/usr/share/tuxpaint/stamps"),)
MAX_GREY_DIFFERENCE = 14.0
MIN_COSINE = 0.93
_SVG_SIDE = 384


@dataclass(frozen=True)
class Fingerprints:
    """What ``N`` pictures are recognised by.

    Attributes:
        digests: SHA-256 of the files' bytes, where there are files.
        thumbnails: ``(N, 256)`` uint8, from `thumbnail_of`.
        features: ``(N, 1280)`` trunk features of the picture on white.
    """

    digests: frozenset[str]
    thumbnails: Pixels
    features: Floats


def evaluation_images(folders: Iterable[Path] = EVALUATION_FOLDERS) -> Iterator[Path]:
    """Every picture file of the evaluation folders that are on this machine, drawings included."""
    for folder in folders:
        for suffix in ("*.png", "*.jpg", "*.jpeg", "*.webp", "*.svg"):
            yield from sorted(folder.rglob(suffix))


def open_picture(path: Path) -> Image.Image:
    """Open a raster image, or render a drawing; RGBA."""
    data = png_of_svg(path, _SVG_SIDE) if path.suffix == ".svg" else path.read_bytes()
    return Image.open(io.BytesIO(data)).convert("RGBA")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def on_white(picture: Image.Image, size: int = 224) -> Pixels:
    """Centre a picture, cropped to what it shows, on white; ``(size, size, 3)``."""
    from training.mini.scenes import cut_out

    cut = cut_out(picture.convert("RGBA"))
    scale = 0.8 * size / max(cut.size)
    shape = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    cut = cut.resize(shape, Image.Resampling.BICUBIC)
    paper = Image.new("RGB", (size, size), (255, 255, 255))
    paper.paste(cut, ((size - cut.width) // 2, (size - cut.height) // 2), cut)
    return np.asarray(paper)


def near_duplicates(ours: Fingerprints, theirs: Fingerprints) -> npt.NDArray[np.bool_]:
    """Which of our pictures look like one of theirs, mirrored or not.

    Args:
        ours: ``N`` pictures.
        theirs: ``M`` evaluation images.

    Returns:
        ``(N,)``, true for a near-duplicate.
    """
    flipped = theirs.thumbnails.reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256)
    mine = unit_norm(ours.features)
    other = unit_norm(theirs.features)
    found = np.zeros(len(mine), dtype=bool)
    for index, (small, feature) in enumerate(zip(ours.thumbnails, mine, strict=True)):
        alike = other @ feature >= MIN_COSINE
        if not alike.any():
            continue
        for versions in (theirs.thumbnails[alike], flipped[alike]):
            gap = np.abs(versions.astype(np.float32) - small.astype(np.float32)).mean(1)
            found[index] |= bool((gap <= MAX_GREY_DIFFERENCE).any())
    return found


def fingerprint(
    pictures: Iterable[Image.Image], extract: object, digests: Iterable[str] = ()
) -> Fingerprints:
    """Fingerprint pictures.

    Args:
        pictures: RGBA or RGB.
        extract: A `training.mini.trunk.FeatureExtractor`, or any object with its ``stream``.
        digests: Of their files.
    """
    small: list[Pixels] = []
    whole: list[Pixels] = []
    for picture in pictures:
        small.append(thumbnail_of(picture))
        whole.append(on_white(picture))
    features = np.concatenate(list(extract.stream(whole)))  # type: ignore[attr-defined]
    return Fingerprints(frozenset(digests), np.stack(small), features)
