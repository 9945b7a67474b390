"""What this machine has for the product, and what to do about what it has not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from rac.cores import usable_cores
from rac.home import cache_home

_LOW_DISK_BYTES = 5 << 30
_LOW_MEMORY_BYTES = 4 << 30
PACKAGES = ("open-clip-torch", "torch", "faiss-cpu", "pillow", "pytorch-lightning", "datasets")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        topic: what was looked at.
        state: ``ok``; ``note`` for what may be better; ``fail`` for what stops the product.
        found: what there is.
        advice: what to do, empty where nothing needs doing.
    """

    topic: str
    state: Literal["ok", "note", "fail"]
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look this machine over; nothing is changed but a probe file in the cache folder."""
    return [
        _python(),
        *_packages(),
        _processor(),
        _memory(),
        _accelerator(),
        _cache(),
        _kept_embeddings(),
        _mini(),
        *_data(),
    ]


def _python() -> Finding:
    return Finding("Python", "ok", platform.python_version())


def _packages() -> list[Finding]:
    findings = []
    for package in PACKAGES:
        try:
            found = importlib.metadata.version(package)
            findings.append(Finding(package, "ok", found))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(package, "fail", "not installed", f"pip install {package}"))
    return findings


def _processor() -> Finding:
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return Finding("processor", "ok", f"{usable_cores()} cores, {capability}")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return Finding("memory", "note", "unknown on this system")
    found = f"{total / 2**30:.0f} GiB"
    if total < _LOW_MEMORY_BYTES:
        return Finding("memory", "note", found, "pick a small encoder and a small --batch-size")
    return Finding("memory", "ok", found)


def _accelerator() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("accelerator", "ok", torch.cuda.get_device_name(0))
    if torch.backends.mps.is_available():
        return Finding("accelerator", "ok", "Apple MPS")
    return Finding(
        "accelerator",
        "note",
        "none, the CPU is used",
        "fine for mini and ViT-B/32; take a CUDA machine for larger encoders",
    )


def _cache() -> Finding:
    folder = cache_home()
    advice = "nothing is kept between runs; set RAC_CACHE_HOME to a folder that can be written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("cache", "note", f"{folder}: {error.strerror or error}", advice)
    found = f"{folder}, {free / 2**30:.0f} GiB free"
    if free < _LOW_DISK_BYTES:
        return Finding("cache", "note", found, "free some space or move it with RAC_CACHE_HOME")
    return Finding("cache", "ok", found)


def _kept_embeddings() -> Finding:
    from rac.embedding.upkeep import CacheState, list_caches

    topic = "kept embeddings"
    try:
        caches = list_caches()
    except OSError as error:
        return Finding(topic, "note", str(error), "let yourself read the folder, or remove it")
    sound = [cache for cache in caches if cache.state is CacheState.sound]
    others = [cache for cache in caches if cache.state is not CacheState.sound]
    found = f"{len(sound)} caches, {sum(cache.entries or 0 for cache in sound):,} images"
    if not others:
        return Finding(topic, "ok", found)
    told = ", ".join(f"{cache.path.name} ({cache.state})" for cache in others)
    return Finding(topic, "note", f"{found}; not used: {told}", "rac cache prune")


def _mini() -> Finding:
    from rac.encoders.layout import WEIGHTS_FILE
    from rac.encoders.load import mini_folder

    weights = mini_folder() / WEIGHTS_FILE
    if weights.is_file():
        return Finding("encoder mini", "ok", f"{weights.stat().st_size / 2**20:.0f} MiB, embedded")
    return Finding("encoder mini", "fail", f"{weights} is missing", "install the package again")


def _data() -> list[Finding]:
    home = os.environ.get("RAC_DATA_HOME")
    stamps = Path("/usr/share/tuxpaint/stamps")
    return [
        Finding(
            "RAC_DATA_HOME",
            "ok" if home else "note",
            home or "not set",
            "" if home else "optional: a folder with data sets that you have already",
        ),
        Finding(
            "quickstart pictures",
            "ok" if stamps.is_dir() else "note",
            str(stamps) if stamps.is_dir() else "not installed",
            "" if stamps.is_dir() else "apt-get install tuxpaint-stamps-default",
        ),
    ]
