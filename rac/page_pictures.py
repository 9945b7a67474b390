"""The pictures of pages, decoded within the same bounds as the images of a job."""

from __future__ import annotations

from PIL import Image

from eval.thumbnails import NoThumbnail
from rac.images import BadImage, ImageLimits, decode_image


def decode_for_page(data: bytes, keep: int, limits: ImageLimits | None = None) -> Image.Image:
    """Decode an image for a page; an :data:`eval.thumbnails.ImageDecoder`.

    Args:
        data: the encoded file.
        keep: length in pixels that the shorter side shall keep.
        limits: bounds on what it may be; None means the defaults of ``ImageLimits``.

    Returns:
        A picture of mode RGB.

    Raises:
        NoThumbnail: for whatever a job would put the image aside for, with its reason.
    """
    try:
        return decode_image(data, limits, target=keep)
    except BadImage as fault:
        raise NoThumbnail(str(fault.reason).replace("-", " ")) from fault
