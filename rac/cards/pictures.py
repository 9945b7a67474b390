"""Pictures made while preparing: drawings to pixels, arrays to PNG, and which ones are alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rac.errors import JobFailed

_THUMB = 24
_PROBE = 16


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (H, W) grey or (H, W, 3) RGB pixels as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def png_of_svg(path: Path, longest_side: int) -> bytes:
    """Render an SVG file to PNG, the same on every machine: no font of the system is used.

    Args:
        path: the drawing.
        longest_side: of the picture, in pixels.

    Raises:
        JobFailed: the drawing cannot be rendered.
    """
    import matplotlib
    import resvg_py

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"

    def render(width: int | None, height: int | None) -> bytes:
        try:
            return bytes(
                resvg_py.svg_to_bytes(
                    svg_path=str(path),
                    dpi=96,
                    skip_system_fonts=True,
                    font_files=[str(font)],
                    font_family="DejaVu Sans",
                    serif_family="DejaVu Sans",
                    sans_serif_family="DejaVu Sans",
                    width=width,
                    height=height,
                )
            )
        except ValueError as error:
            raise JobFailed(f"{path} cannot be rendered: {error}") from error

    # A stamp-sized rendering costs next to nothing and tells tall drawings from wide ones.
    with Image.open(io.BytesIO(render(_PROBE, None))) as image:
        tall = image.height > image.width
    return render(None, longest_side) if tall else render(longest_side, None)


def alike_groups(
    images: Sequence[Image.Image], families: Sequence[str], threshold: float = 0.95
) -> list[int]:
    """Number groups of pictures that are nearly the same or of one family.

    Two pictures are nearly the same when the correlation of their 24 x 24 RGB thumbnails is at
    least the threshold. Likeness is carried on: a picture like two others joins them.

    Args:
        images: (N,) RGB pictures.
        families: (N,) names; equal names are one group whatever the pictures show.
        threshold: 0 to 1.

    Returns:
        (N,) group numbers, each the row number of the group's first picture.
    """
    thumbs = np.stack(
        [
            np.asarray(image.resize((_THUMB, _THUMB), Image.Resampling.BOX), np.float32).ravel()
            for image in images
        ]
    )
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    thumbs /= np.maximum(np.linalg.norm(thumbs, axis=1, keepdims=True), 1e-6)
    leader = list(range(len(images)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    def join(one: int, other: int) -> None:
        low, high = sorted((find(one), find(other)))
        leader[high] = low

    first: dict[str, int] = {}
    for row, family in enumerate(families):
        join(first.setdefault(family, row), row)
    for row, correlations in enumerate(thumbs @ thumbs.T):
        for other in np.flatnonzero(correlations[:row] >= threshold):
            join(int(other), row)
    return [find(row) for row in range(len(images))]
