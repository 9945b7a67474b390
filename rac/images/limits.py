"""What reading one image may cost, and from where it may come."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

_ABOVE_NOTHING = (
    "max_bytes",
    "max_pixels",
    "max_side",
    "max_total_pixels",
    "max_metadata_bytes",
    "max_parts",
    "max_memory",
    "timeout_s",
    "attempts",
    "max_per_host",
)
_PATIENCE = frozenset({"timeout_s", "attempts", "max_per_host"})


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on the reading and decoding of one image.

    Args:
        max_bytes: largest encoded size read, in bytes.
        max_pixels: largest width times height decoded, of formats whose decoder is slow a part of
            it; of a progressive JPEG, all passes together may have ten times as many. Pillow's own
            guard against decompression bombs (about 358 million) holds besides.
        max_side: longest side, in pixels.
        max_aspect: how many times longer one side may be than the other. An encoder brings the
            shorter side to the length that it reads, and the longer one grows with it.
        max_total_pixels: most pixels of all frames of an animation, or of all pages of a document.
        max_metadata_bytes: most bytes that are no pixels, unpacked: EXIF, profiles, texts, padding.
        max_parts: most chunks, segments, tiles or entries that a file may consist of.
        max_memory: most bytes that decoding one image may take, judged by what it announces; also
            what all images of a job that are being decoded may take together.
        timeout_s: seconds that one image from the network may take, all in all.
        attempts: how often a web server is asked that is busy or breaks off.
        max_per_host: images that one web server is asked for at the same time.
        max_redirects: how many redirects of a web server are followed.
        allow_private_hosts: whether addresses of private networks and of this machine are read.
        allow_outside: whether any path of this machine is read.
        roots: folders that may be read besides the table's own, with everything below them.

    >>> ImageLimits().max_pixels
    120000000
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 120_000_000
    max_side: int = 65_535
    max_aspect: float = 100.0
    max_total_pixels: int = 4_000_000_000
    max_metadata_bytes: int = 8 * 1024 * 1024
    max_parts: int = 65_536
    max_memory: int = 400_000_000
    timeout_s: float = 20.0
    attempts: int = 4
    max_per_host: int = 6
    max_redirects: int = 5
    allow_private_hosts: bool = False
    allow_outside: bool = False
    roots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in _ABOVE_NOTHING:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.max_aspect >= 1:
            raise ValueError(f"max_aspect must be 1 or more, got {self.max_aspect}")
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects must be 0 or more, got {self.max_redirects}")

    def judging(self) -> tuple[tuple[str, object], ...]:
        """Give the bounds that decide which images are good; not those of patience with servers."""
        return tuple(
            (one.name, tuple(map(str, self.roots)) if one.name == "roots" else value)
            for one in fields(self)
            if one.name not in _PATIENCE
            for value in [getattr(self, one.name)]
        )
