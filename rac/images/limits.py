"""What reading one image may cost, and from where it may come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on the reading and decoding of one image.

    Args:
        max_bytes: largest encoded size read, in bytes.
        max_pixels: largest width times height decoded. Pillow's own guard against decompression
            bombs (about 358 million) holds besides.
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
    timeout_s: float = 20.0
    attempts: int = 4
    max_per_host: int = 6
    max_redirects: int = 5
    allow_private_hosts: bool = False
    allow_outside: bool = False
    roots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "timeout_s", "attempts", "max_per_host"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects must be 0 or more, got {self.max_redirects}")
