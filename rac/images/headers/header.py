"""The announcement of one file, and the tally that is kept while it is read."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from rac.images.faults import BadImage, Reason
from rac.images.limits import ImageLimits

RESULT = 3
"""Bytes that a pixel takes once it is decoded: red, green and blue."""

PICTURE = 4
"""Bytes that a pixel of several channels takes in Pillow, RGB included."""

# Characters of a metadata number in its unpacked form: Pillow makes an object of each.
_NUMBER = 32


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        width: in pixels, of the canvas.
        height: in pixels, of the canvas.
        frames: pictures that it holds; pages of a document count.
        passes: how often decoding goes over the canvas, for a picture that grows sharper.
        pixel_bytes: memory that a decoder holds for each pixel of the canvas, from Pillow's picture
            to the (H, W, 3) array, at most.
        fixed_bytes: memory besides, which a smaller scale does not spare.
        slowness: how much longer a pixel takes than one of an ordinary format.
        scalable: whether it can be decoded at 1/2, 1/4 or 1/8 of its size.
    """

    width: int
    height: int
    frames: int = 1
    passes: int = 1
    pixel_bytes: float = PICTURE + RESULT
    fixed_bytes: int = 0
    slowness: int = 1
    scalable: bool = False

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    def decoding_bytes(self, target: int | None) -> int:
        """Memory in bytes that decoding, and the resizing afterwards, takes at most.

        Args:
            target: length in pixels that the shorter side must keep at least; None for all.
        """
        shorter, longer = sorted((max(self.width, 1), max(self.height, 1)))
        scale = 1
        if self.scalable and target is not None:
            scale = max(one for one in (1, 2, 4, 8) if one == 1 or shorter // one >= target)
        decoded = -(-self.width // scale) * -(-self.height // scale)
        # A shorter side that is brought up to the target takes the longer one with it.
        resized = RESULT * target * target * longer // shorter if target is not None else 0
        return int(decoded * self.pixel_bytes) + self.fixed_bytes + resized


class Tally:
    """Counts the parts of a file and its metadata, and refuses it when they pass the limits."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._parts = 0.0
        self._metadata = 0

    def part(self, metadata: int = 0, *, share: float = 1.0) -> None:
        """Count a part (a chunk, segment, box or entry) and the metadata that it holds.

        Args:
            metadata: bytes of it that are no pixels.
            share: of a whole part, for what costs a decoder less or more than one.

        Raises:
            BadImage: ``TOO_MUCH_METADATA``.
        """
        self._parts += share
        self._metadata += metadata
        most = self._limits.max_metadata_bytes
        if self._metadata > most:
            raise BadImage(
                Reason.TOO_MUCH_METADATA,
                f"more than {most:,} bytes of it are no pixels (EXIF, profiles, texts, padding); "
                "save it without them",
            )
        if self._parts > self._limits.max_parts:
            raise BadImage(
                Reason.TOO_MUCH_METADATA,
                f"it consists of more than {self._limits.max_parts:,} parts (chunks, segments, "
                "tiles); save it anew",
            )

    def numbers(self, count: int) -> None:
        """Count numbers that stand in metadata, which take more memory than their bytes."""
        self.part(_NUMBER * count, share=0)

    def packed(self, data: bytes) -> None:
        """Count compressed metadata at its unpacked length; no more is unpacked than may be.

        Raises:
            BadImage: ``TOO_MUCH_METADATA``.
        """
        unpacker = zlib.decompressobj()
        left = self._limits.max_metadata_bytes - self._metadata
        try:
            found = len(unpacker.decompress(data, max(left, 0) + 1))
        except zlib.error:
            return  # it is counted as it lies there; the decoder says what is wrong
        self.part(found, share=0)
