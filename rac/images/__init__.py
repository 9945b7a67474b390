"""Images: from a cell of a table to RGB pixels, each bad one alone and with its reason."""

from __future__ import annotations

from rac.images.budget import DecodingBudget
from rac.images.decode import (
    DECODING_RULES,
    FORMATS,
    decode_image,
    decode_pixels,
    decoded_pixels,
)
from rac.images.faults import BadImage, Reason
from rac.images.jpeg import Pixels
from rac.images.limits import ImageLimits
from rac.images.source import content_hash, is_address, read_image_bytes

__all__ = [
    "DECODING_RULES",
    "FORMATS",
    "BadImage",
    "DecodingBudget",
    "ImageLimits",
    "Pixels",
    "Reason",
    "content_hash",
    "decode_image",
    "decode_pixels",
    "decoded_pixels",
    "is_address",
    "read_image_bytes",
]
