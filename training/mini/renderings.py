"""Photos of household things that nobody took: named 3D models, seen from many sides.

Drawings are far from what a camera sees. The furniture library of Sweet Home 3D (Debian's
``sweethome3d-furniture``) has some 700 textured models with names, from apples to sneakers.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.mini.pictures import Picture, opener
from training.mini.studio import Studio, save_whole

CATALOGUES = Path("/usr/share/sweethome3d/furniture")
SIDES = 8
_ENTRY = re.compile(r"^(name|category|tags|model)#(\d+)=(.*)$", re.MULTILINE)
_CATEGORIES_SKIPPED = ("Doors and windows", "Staircases")
# Parts of buildings and streets, and scenes; no item of a catalogue. VTK's reader ends the process
# where it is given the island bath.
_SKIPPED = re.compile(
    r"plug|switch|socket|parking|crossing|speech unit|railing|rails|column|arrow|antenna|"
    r"living room|elevator|sidewalk|chimney|number lock|sign|^(lying|sitting|holding)|island bath"
)
_KNOWN_AS = {
    "apple ibook": "laptop",
    "apple imac": "desktop computer",
    "apple iphone": "mobile phone",
    "barnum": "table",
    "bootie": "baby shoe",
    "cctv": "surveillance camera",
    "chevrolet": "car",
    "concept sedan": "car",
    "flacon": "perfume bottle",
    "flipper": "pinball machine",
    "ford focus": "car",
    "hashtray": "ashtray",
    "lip stick": "lipstick",
    "mocassin": "moccasin",
    "mp3 base": "speaker",
    "mp3 station": "speaker",
    "peugeot": "car",
    "playstation": "game console",
    "puff": "beanbag",
    "puzzle": "jigsaw puzzle",
    "renault scenic": "car",
    "seat leon": "car",
    "short": "shorts",
    "smart car": "car",
    "tool": "hand tool",
    "trunck": "trunk",
    "vw new beetle": "car",
    "winchester armchair": "armchair",
    "winchester sofa": "sofa",
    "yamaha yzr r": "motorcycle",
}


@dataclass(frozen=True)
class Model3D:
    """One model of a catalogue.

    Attributes:
        catalogue: The zip file that it lies in.
        number: Its number there.
        name: What it is, in a few words.
        path: Of its Wavefront file, inside the zip file.
    """

    catalogue: Path
    number: int
    name: str
    path: str

    def sides(self, folder: Path) -> list[Path]:
        """Where its pictures are kept, one for each side."""
        stem = f"{self.catalogue.stem}-{self.number:03d}"
        return [folder / f"{stem}-{side}.png" for side in range(SIDES)]


def model_name(listed: str) -> str:
    """Turn a catalogue's name into the usual one.

    >>> model_name("Sofa 3 seats"), model_name("Apple iMac 1998"), model_name("Bill 10€")
    ('sofa', 'desktop computer', 'bill')
    """
    name = re.split(r"\s*(?:\d|:| - )", listed.lower())[0].strip()
    return _KNOWN_AS.get(name, name)


def list_models(root: Path = CATALOGUES) -> list[Model3D]:
    """List the models that show an item, in a fixed order; none where the package is missing."""
    found = []
    for catalogue in sorted(root.glob("*.sh3f")):
        with zipfile.ZipFile(catalogue) as archive:
            listing = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
        entries: dict[int, dict[str, str]] = {}
        for key, number, value in _ENTRY.findall(listing):
            entries.setdefault(int(number), {})[key] = value.strip()
        for number, entry in sorted(entries.items()):
            name = model_name(entry["name"].encode("latin-1").decode("unicode_escape"))
            unwanted = entry["category"] in _CATEGORIES_SKIPPED or _SKIPPED.search(name)
            if not unwanted and entry["model"].endswith(".obj"):
                found.append(Model3D(catalogue, number, name, entry["model"].lstrip("/")))
    return found


def render_models(models: Sequence[Model3D], folder: Path, seed: int) -> None:
    """Render, or resume rendering, every model from ``SIDES`` sides.

    Args:
        models: In a fixed order.
        folder: Where the pictures are kept, RGBA, 256 x 256.
        seed: Of the sides and the light; each model's depend on it and its place alone.
    """
    from rich.progress import track

    folder.mkdir(parents=True, exist_ok=True)
    waiting = [i for i, model in enumerate(models) if not model.sides(folder)[-1].exists()]
    if not waiting:
        return
    studio = Studio()
    with tempfile.TemporaryDirectory() as unpacked:
        for catalogue in {models[index].catalogue for index in waiting}:
            with zipfile.ZipFile(catalogue) as archive:
                archive.extractall(Path(unpacked, catalogue.stem))
        for index in track(waiting, description="renderings"):
            model = models[index]
            rng = np.random.default_rng((seed, index))
            path = Path(unpacked, model.catalogue.stem, model.path)
            with studio.model(path) as stage:
                for kept in model.sides(folder):
                    save_whole(Image.fromarray(studio.shot(stage, rng)), kept)


def rendered_pictures(folder: Path, seed: int) -> Iterator[Picture]:
    """Models from several sides, rendered where the folder has them not yet."""
    models = list_models()
    render_models(models, folder, seed)
    for model in models:
        for path in model.sides(folder):
            yield Picture(f"sweethome3d:{path.stem}", model.name, (), opener(path))
