from __future__ import annotations

import numpy as np
import pytest
import torch

from rac.errors import InputError
from training.finetune.augment import Augmentation


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_key_alone_decides() -> None:
    """Neither torch's own generator nor what was drawn before has a say, and it is left alone."""
    augment = Augmentation((24, 24), smallest_crop=0.3, flip=True, jitter=0.2)
    torch.manual_seed(1)
    first = augment(picture(), (0, 3, 7))
    after = torch.rand(1)
    augment(picture(), (0, 3, 8))
    assert torch.equal(augment(picture(), (0, 3, 7)), first)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    assert first.shape == (3, 24, 24)
    assert first.dtype == torch.uint8
    others = [augment(picture(), key) for key in ((0, 3, 8), (0, 4, 7), (1, 3, 7))]
    assert not any(torch.equal(other, first) for other in others)


def test_whole_pictures_without_any_change_are_only_resized() -> None:
    plain = Augmentation((40, 40), smallest_crop=1.0, flip=False, jitter=0.0)
    square = np.ascontiguousarray(picture()[:, :40])
    # A crop of the whole area is the picture, or the nearest to it that the drawn shape allows.
    found = [plain(square, (0, 0, place)) for place in range(20)]
    whole = torch.from_numpy(square).permute(2, 0, 1)
    assert all(one.shape == whole.shape for one in found)
    assert any(torch.equal(one, whole) for one in found)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"smallest_crop": 0.0}, "smallest_crop"), ({"jitter": 1.5}, "jitter")],
)
def test_out_of_range(changed: dict[str, float], said: str) -> None:
    settings = {"smallest_crop": 0.3, "flip": True, "jitter": 0.2, **changed}
    with pytest.raises(InputError, match=said):
        Augmentation((8, 8), **settings)
