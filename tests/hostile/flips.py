"""Single bits of files that are turned over, by a fixed draw, in a process that may die of it."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


def flipped_copies(folder: Path, copy: Path, count: int, seed: int) -> Iterator[str]:
    """Make copies of a folder, one after the other in one place, each with one bit turned over.

    Each byte of all files together is as likely as another, so that large files get most.

    Yields:
        Which bit of which file.
    """
    draw = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    sizes = [path.stat().st_size for path in files]
    assert files
    for _ in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        path = draw.choices(files, sizes)[0]
        place, bit = draw.randrange(path.stat().st_size), draw.randrange(8)
        name = path.relative_to(folder)
        content = bytearray(path.read_bytes())
        content[place] ^= 1 << bit
        (copy / name).write_bytes(content)
        yield f"{name}: bit {bit} of byte {place}"


def in_child(work: Callable[..., None], *arguments: object) -> None:
    """Run what may be ended by a signal in a process of its own, and see that it was not."""
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    child.start()
    child.join(300)
    assert child.exitcode == 0, child.exitcode
