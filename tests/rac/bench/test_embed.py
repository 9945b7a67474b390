"""The comparison of the embedding engine with a plain loop: same images, same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rac.bench.embed import bench_embed
from rac.encoders.runtimes.choose import probe_images
from rac.errors import InputError
from rac.tables import open_table


def test_the_engine_gives_what_open_clip_gives(tmp_path: Path) -> None:
    """JPEGs of several sizes, some so large that they are decoded at half or a quarter."""
    sizes = [(480, 360), (360, 480), (348, 348), (1400, 1000)]
    for number, image in enumerate(probe_images(24, (100, 130))):
        picture = Image.fromarray(image.transpose(1, 2, 0))
        picture = picture.resize(sizes[number % len(sizes)], Image.Resampling.BICUBIC)
        picture.save(tmp_path / f"{number:02d}.jpg", quality=85)
    (tmp_path / "99-broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    found = bench_embed("mini", open_table(f"imagefolder:{tmp_path}"), images=40, rounds=1)
    assert found.images == 24
    assert found.cosine_to_reference > 0.995
    assert found.nearest_unchanged >= 0.95
    rates = (found.images_per_s, found.plain_loop_images_per_s, found.network_images_per_s)
    assert all(rate is not None and np.isfinite(rate) and rate > 0 for rate in rates)
    assert found.ratio_to_plain_loop > 0


def test_a_table_without_good_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="two good images"):
        bench_embed("mini", open_table(f"imagefolder:{tmp_path}"))
