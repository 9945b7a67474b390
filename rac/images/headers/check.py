"""Whether what a file announces is within the limits."""

from __future__ import annotations

from rac.images.faults import BadImage, Reason
from rac.images.headers.header import Header
from rac.images.limits import ImageLimits

# How often a decoder may go over a progressive JPEG of the largest size; over a smaller one more
# often. Ten are usual.
_PASSES = 10


def check_header(header: Header, kind: str, limits: ImageLimits, target: int | None) -> None:
    """Refuse what would take more than the limits allow.

    Args:
        header: what the file announces.
        kind: the format, as people call it.
        limits: the bounds.
        target: length in pixels that the shorter side must keep at least; None for all.

    Raises:
        BadImage: ``TOO_MANY_PIXELS``, ``EXTREME_SHAPE``, ``TOO_MANY_FRAMES`` or ``TOO_COSTLY``.
    """
    width, height = header.width, header.height
    pixels = header.pixels
    most = limits.max_pixels // header.slowness
    if pixels > most:
        of_kind = f" for this kind of {kind}" if header.slowness > 1 else ""
        raise BadImage(
            Reason.TOO_MANY_PIXELS,
            f"{width:,} x {height:,} = {pixels:,} pixels; the limit{of_kind} is {most:,}",
        )
    shorter, longer = sorted((width, height))
    if longer > limits.max_side:
        raise BadImage(
            Reason.EXTREME_SHAPE,
            f"{width:,} x {height:,} pixels; the limit of a side is {limits.max_side:,}",
        )
    if shorter > 0 and longer > limits.max_aspect * shorter:
        raise BadImage(
            Reason.EXTREME_SHAPE,
            f"{width:,} x {height:,} pixels: one side is more than {limits.max_aspect:g} times "
            "the other",
        )
    for count, what, most in (
        (header.frames, "frames", limits.max_total_pixels),
        (header.passes, "passes", _PASSES * limits.max_pixels),
    ):
        if count > 1 and count * pixels > most:
            raise BadImage(
                Reason.TOO_MANY_FRAMES,
                f"{count:,} {what} of {width:,} x {height:,} = {count * pixels:,} pixels; "
                f"the limit is {most:,}",
            )
    memory = header.decoding_bytes(target)
    if memory > limits.max_memory:
        raise BadImage(
            Reason.TOO_COSTLY,
            f"{width:,} x {height:,} pixels of {kind} take about {memory / 1e6:,.0f} MB to decode; "
            f"the limit is {limits.max_memory / 1e6:,.0f} MB; save it smaller",
        )
