"""Resizing on bytes gives what open_clip's own transform gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from rac.encoders.framing import ResizePhotosLarger
from rac.encoders.preprocessing import byte_steps

MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)


def photo(width: int, height: int) -> np.ndarray:
    """Something with edges and slopes."""
    random = np.random.default_rng(width * height)
    small = random.integers(0, 256, (9, 11, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (64, 64), (20, 31), (997, 65)])
@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 64},
        {"image_size": 64, "interpolation": "bilinear"},
        {"image_size": 64, "resize_mode": "squash"},
        {"image_size": 64, "resize_mode": "longest"},
        {"image_size": (64, 48), "resize_mode": "shortest"},
    ],
    ids=str,
)
def test_bytes_are_those_of_the_models_transform(
    size: tuple[int, int], options: dict[str, Any]
) -> None:
    transform = image_transform(is_train=False, mean=MEAN, std=STD, **options)
    pixels = photo(*size)
    found = byte_steps(transform)(pixels)
    assert found.dtype == np.uint8
    values = transform(Image.fromarray(pixels))
    mean, std = (torch.tensor(one).reshape(3, 1, 1) for one in (MEAN, STD))
    expected = ((values * std + mean) * 255).round().numpy()
    difference = np.abs(found.astype(int) - expected)
    assert found.shape == expected.shape
    # The kernels round their weights differently.
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.1


@pytest.mark.parametrize("on_white", [True, False])
def test_photos_are_enlarged_and_cut_outs_stay_whole(on_white: bool) -> None:
    transform = image_transform(64, is_train=False, mean=MEAN, std=STD)
    resize = transform.transforms[0]
    transform.transforms[0] = ResizePhotosLarger(resize, 0.8)
    pixels = photo(300, 200).copy()
    if on_white:
        pixels[:30] = pixels[-30:] = pixels[:, :40] = pixels[:, -40:] = 255
        pixels[90:110, :40] = 0  # the thing may touch an edge
    expected = Image.fromarray(pixels).resize((96, 64) if on_white else (120, 80), 3)
    left, top = (expected.width - 64) // 2, (expected.height - 64) // 2
    cropped = np.asarray(expected.crop((left, top, left + 64, top + 64))).astype(int)
    found = byte_steps(transform)(pixels)
    assert np.abs(found.transpose(1, 2, 0) - cropped).max() <= 2
    steps = transform(Image.fromarray(pixels)).shape
    assert steps == (3, 64, 64)


def test_a_transform_that_ends_otherwise_is_refused() -> None:
    transform = image_transform(64, is_train=False)
    transform.transforms = transform.transforms[:2]
    with pytest.raises(ValueError, match="no conversion to floats"):
        byte_steps(transform)
