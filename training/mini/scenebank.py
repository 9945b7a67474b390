"""Trunk features of every scene of every picture, computed once and kept in shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval_index.files import replace_file
from training.mini.pictures import SIGNS, Picture
from training.mini.scenes import VIEWS, Scene, compose, cut_out, load_backgrounds
from training.mini.sidebyside import made_side_by_side
from training.mini.trunk import FeatureExtractor, Floats, Pixels

THUMBNAIL = 16
SHARD = 512
_MANY_FACES = ("person", "man ", "woman ", "men ", "women ", "people ")


@dataclass(frozen=True)
class SceneBank:
    """Features of ``N`` scenes.

    Attributes:
        features: ``(N, 1280)`` float32.
        picture: ``(N,)`` index into the list of pictures.
        view: ``(N,)`` index into ``VIEWS``.
        colours: ``(N, 11)`` shares of the basic colours.
        pattern: ``(N,)`` index into ``PATTERNS`` or -1.
        thumbnail: ``(N, 256)`` uint8, the cut-out on white, 16 x 16 grey; for near-duplicates.
    """

    features: Floats
    picture: npt.NDArray[np.int64]
    view: npt.NDArray[np.int64]
    colours: Floats
    pattern: npt.NDArray[np.int64]
    thumbnail: Pixels

    def take(self, keep: npt.NDArray[np.bool_]) -> SceneBank:
        """Return the scenes where ``keep`` ``(N,)`` is true."""
        return SceneBank(
            self.features[keep],
            self.picture[keep],
            self.view[keep],
            self.colours[keep],
            self.pattern[keep],
            self.thumbnail[keep],
        )


@dataclass(frozen=True)
class _Seen:
    """One scene of a picture: indices of both, and the thumbnail of the picture."""

    picture: int
    view: int
    scene: Scene
    thumbnail: Pixels


def thumbnail_of(picture: Image.Image) -> Pixels:
    """Shrink an RGBA or RGB picture, on white and cropped to what it shows, to ``(256,)`` greys."""
    cut = cut_out(picture.convert("RGBA"))
    paper = Image.new("RGB", cut.size, (255, 255, 255))
    paper.paste(cut, mask=cut.getchannel("A"))
    small = paper.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.uint8).ravel()


def views_of(picture: Picture) -> tuple[str, ...]:
    """The scenes worth making of a picture; there are many emoji people, and few are goods.

    Signs are seen plain only: mirrored and in piles they are other signs, or none.
    """
    if picture.source == SIGNS:
        return ("plain",)
    if picture.name.startswith(_MANY_FACES):
        return ("plain", "photo")
    return VIEWS


def build_scenes(pictures: Sequence[Picture], folder: Path, seed: int, threads: int) -> SceneBank:
    """Compute, or resume computing, the bank of ``pictures``.

    Args:
        pictures: In a fixed order.
        folder: Where the shards are kept; they depend on ``pictures`` and ``seed`` only.
        seed: Each picture's scenes depend on it and on the picture's place alone.
        threads: For the trunk, and as many processes that compose.
    """
    from rich.progress import track

    folder.mkdir(parents=True, exist_ok=True)
    extractor: FeatureExtractor | None = None
    backgrounds: list[Image.Image] = []
    shards = range(0, len(pictures), SHARD)
    for start in track(shards, description="scenes"):
        path = folder / f"scenes-{start:06d}.npz"
        if path.exists():
            continue
        if extractor is None:
            extractor, backgrounds = FeatureExtractor(threads), load_backgrounds()
        chosen = pictures[start : start + SHARD]
        compose_one = partial(_scenes, chosen, start, backgrounds, seed)
        _build_shard(path, made_side_by_side(compose_one, len(chosen), threads), extractor)
    return read_scenes(folder)


def _scenes(
    chosen: Sequence[Picture],
    start: int,
    backgrounds: Sequence[Image.Image],
    seed: int,
    place: int,
) -> list[_Seen]:
    """Compose every scene of one chosen picture; none of one that is broken or tiny."""
    picture, index = chosen[place], start + place
    rng = np.random.default_rng((seed, index))
    try:
        drawn = picture.load()
        cut = cut_out(drawn)
        if min(cut.size) < 8:
            return []
        small = thumbnail_of(drawn)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # what PIL and resvg say of a broken picture
        return []
    return [
        _Seen(index, VIEWS.index(view), compose(cut, view, backgrounds, rng), small)
        for view in views_of(picture)
    ]


def _build_shard(path: Path, made: Iterable[list[_Seen]], extractor: FeatureExtractor) -> None:
    found: list[_Seen] = []

    def pixels() -> Iterator[Pixels]:
        for scenes in made:
            for seen in scenes:
                found.append(seen)
                yield seen.scene.pixels

    features = np.concatenate(list(extractor.stream(pixels())))
    with replace_file(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            features=features.astype(np.float16),
            picture=np.array([seen.picture for seen in found]),
            view=np.array([seen.view for seen in found]),
            colours=np.stack([seen.scene.colours for seen in found]),
            pattern=np.array([seen.scene.pattern for seen in found]),
            thumbnail=np.stack([seen.thumbnail for seen in found]),
        )


def read_scenes(folder: Path) -> SceneBank:
    """Read all finished shards of a folder."""
    parts = [dict(np.load(path)) for path in sorted(folder.glob("scenes-??????.npz"))]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return SceneBank(
        features=whole["features"].astype(np.float32),
        picture=whole["picture"],
        view=whole["view"],
        colours=whole["colours"].astype(np.float32),
        pattern=whole["pattern"],
        thumbnail=whole["thumbnail"],
    )
