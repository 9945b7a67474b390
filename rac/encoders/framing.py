"""How much of a picture an encoder looks at: all of a cut-out, the middle of a photo."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torchvision.transforms import Resize

from rac.images import Pixels

#: Levels by which the pixels of a plain border may differ from their median, in each channel.
_TOLERANCE = 8
#: Share of the outermost pixels that lie that near to their median where the border is plain. On
#: photos hardly any do; of drawings and things photographed on white, most.
_PLAIN_SHARE = 0.5


class ResizePhotosLarger:
    """Resizes the shorter side to what will be cropped, and that of photos to more.

    Networks trained on crops of varying size see things larger in training than in testing, and
    want them enlarged (Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019);
    the margin of a photo that is lost this way is mostly background. A thing on a plain ground
    fills its picture already, and would lose parts of itself.

    Attributes:
        plain: how pictures with a plain border are resized.
        photo: how others are.
    """

    def __init__(self, resize: Resize, share: float) -> None:
        """Take the resizing of a transform, to S pixels, and the share of a photo to be kept.

        Args:
            resize: its ``size`` is one number.
            share: in (0, 1]; photos are resized to S / share.
        """
        self.plain = resize
        self.photo = Resize(round(resize.size / share), interpolation=resize.interpolation)

    def choose(self, pixels: Pixels) -> Resize:
        """Give the resizing for a picture of (H, W, 3) uint8."""
        return self.plain if has_plain_border(pixels) else self.photo

    def __call__(self, picture: Image.Image) -> Image.Image:
        """Resize a picture."""
        resized: Image.Image = self.choose(np.asarray(picture.convert("RGB")))(picture)
        return resized


def has_plain_border(pixels: Pixels) -> bool:
    """Tell whether most of the outermost pixels of (H, W, 3) uint8 have about one colour.

    >>> has_plain_border(np.full((9, 9, 3), 255, np.uint8))
    True
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    distance = np.abs(border - np.median(border, axis=0)).max(axis=1)
    return bool((distance <= _TOLERANCE).mean() >= _PLAIN_SHARE)
