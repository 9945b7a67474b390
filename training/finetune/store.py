"""The images of a training, decoded and checked once, and from then on read from one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from torchvision.transforms.v2 import functional

from rac.cores import usable_cores
from rac.embedding.own_files import checksum, naming, open_own
from rac.errors import JobFailed
from rac.images import (
    BadImage,
    DecodingBudget,
    ImageLimits,
    Pixels,
    decoded_pixels,
    read_image_bytes,
)
from rac.progress import progress_bar
from rac.tables import Item
from retrieval_index.files import replace_file

#: Quality of the JPEG that an image is kept as. With full colour resolution no training sees it.
_QUALITY = 95
# Images that are decoded ahead of the writing; what is held does not grow with the table.
_AHEAD = 64

Shape = Callable[[Pixels], Pixels]
"""From decoded (h, w, 3) to the (H, W, 3) that is kept."""


class ImageStore:
    """N images (H, W, 3) uint8 in one file, which every process opens for itself.

    Attributes:
        path: of the file, nothing but JPEGs end to end.
        ends: ``(N + 1,)`` where each begins and the last one ends.
        checksums: ``(N,)`` of each JPEG.
    """

    def __init__(
        self, path: Path, ends: npt.NDArray[np.int64], checksums: npt.NDArray[np.uint64]
    ) -> None:
        """Open nothing yet, so that it can be handed to another process."""
        self.path, self.ends, self.checksums = path, ends, checksums
        self._handle: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_handle": None}

    def read(self, row: int) -> Pixels:
        """Give image ``row``, (H, W, 3).

        Raises:
            JobFailed: the file is not what was written.
        """
        if self._handle is None:
            self._handle = open(open_own(self.path, os.O_RDONLY), "rb")  # noqa: SIM115
        start, end = int(self.ends[row]), int(self.ends[row + 1])
        # Not mapped: of a file that is cut short, that would be a signal and not an error.
        encoded = os.pread(self._handle.fileno(), end - start, start)
        if int(checksum(encoded), 16) != int(self.checksums[row]):
            raise JobFailed(
                f"{self.path}: image {row + 1} is not what was written; run the training again"
            )
        pixels: Pixels = simplejpeg.decode_jpeg(encoded, fastdct=False, fastupsample=False)
        return pixels


def store_images(
    items: Sequence[Item],
    base: Path | None,
    path: Path,
    shape: Shape,
    *,
    target: int,
    limits: ImageLimits | None = None,
    description: str = "decoding",
) -> tuple[ImageStore, list[str | None]]:
    """Decode images in threads, bounded as everywhere, and keep those that can be read.

    Args:
        items: whose images are read.
        base: the folder that relative paths start from.
        path: file to write; whole or not at all.
        shape: what is kept of a decoded image.
        target: shorter side in pixels that decoding must keep.
        limits: bounds on what an image may be; the defaults of :class:`ImageLimits` if None.
        description: what the progress bar says.

    Returns:
        The store of the readable images in their order, and for each item why it is not among
        them, None where it is.
    """
    bounds = limits or ImageLimits()
    budget = DecodingBudget(bounds.max_memory)

    def prepare(item: Item) -> bytes | BadImage:
        try:
            data = read_image_bytes(item.image, base, bounds)
            with decoded_pixels(data, bounds, budget, target=target) as decoded:
                pixels = np.ascontiguousarray(shape(decoded))
        except BadImage as error:
            return error
        encoded: bytes = simplejpeg.encode_jpeg(
            pixels, quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
        )
        return encoded

    ends, checksums, reasons = [0], list[int](), list[str | None]()
    with (
        naming(path),
        replace_file(path) as draft,
        open(draft, "wb") as handle,
        progress_bar(description, len(items)) as advance,
    ):
        for prepared in _in_order(prepare, items):
            if isinstance(prepared, BadImage):
                reasons.append(str(prepared))
            else:
                reasons.append(None)
                handle.write(prepared)
                ends.append(ends[-1] + len(prepared))
                checksums.append(int(checksum(prepared), 16))
            advance(1)
    store = ImageStore(path, np.asarray(ends, np.int64), np.asarray(checksums, np.uint64))
    return store, reasons


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Resize (h, w, 3) so that its shorter side has at most ``side`` pixels.

    >>> shrink(np.zeros((30, 60, 3), np.uint8), 15).shape
    (15, 30, 3)
    >>> shrink(np.zeros((30, 60, 3), np.uint8), 40).shape
    (30, 60, 3)
    """
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if shorter <= side:
        return pixels
    size = [max(round(length * side / shorter), 1) for length in (height, width)]
    resized = functional.resize(torch.from_numpy(pixels).permute(2, 0, 1), size, antialias=True)
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


def _in_order(
    prepare: Callable[[Item], bytes | BadImage], items: Sequence[Item]
) -> Iterator[bytes | BadImage]:
    waiting = iter(items)
    with ThreadPoolExecutor(max(2, usable_cores()), thread_name_prefix="decode") as threads:
        while ahead := list(islice(waiting, _AHEAD)):
            yield from threads.map(prepare, ahead)
