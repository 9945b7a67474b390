"""Resizing on bytes gives what open_clip's own transform gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

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


def test_a_transform_that_ends_otherwise_is_refused() -> None:
    transform = image_transform(64, is_train=False)
    transform.transforms = transform.transforms[:2]
    with pytest.raises(ValueError, match="no conversion to floats"):
        byte_steps(transform)
