"""How fast rows go by whose embeddings are known already, and what memory that takes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict

from rac.encoders.runtimes.choose import probe_images
from rac.errors import JobFailed
from rac.progress import say

_IMAGES = 1000
_SIDES = (240, 320)
_COMMAND = "import sys; from rac.cli.app import main; sys.argv[0] = 'rac'; main()"


class WarmCacheBench(BaseModel):
    """Rows a second, and peak resident memory of the process, at two sizes of a table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str
    images: int
    rows: int
    rows_per_s: float
    peak_bytes: int
    tenth_rows: int
    tenth_rows_per_s: float
    tenth_peak_bytes: int
    ratio_peak: float


def bench_warm_cache(encoder: str, rows: int) -> WarmCacheBench:
    """Run ``rac embed`` over a table of repeated images, all of them in the cache.

    A thousand JPEGs of 240 x 320 are made and embedded once; then a table of ``rows`` / 10 rows
    and one of ``rows`` rows are embedded, each by a process of its own.

    Args:
        encoder: as :func:`rac.encoders.load_encoder` takes it.
        rows: of the larger table.

    Raises:
        JobFailed: one of the jobs failed.
    """
    with tempfile.TemporaryDirectory(prefix="rac-bench-") as name:
        folder = Path(name)
        for number, image in enumerate(probe_images(_IMAGES, _SIDES)):
            picture = Image.fromarray(image.transpose(1, 2, 0))
            picture.save(folder / f"{number}.jpg", quality=85)
        _embed(folder, encoder, _IMAGES)
        small, small_peak = _embed(folder, encoder, rows // 10)
        large, large_peak = _embed(folder, encoder, rows)
    return WarmCacheBench(
        encoder=encoder,
        images=_IMAGES,
        rows=rows,
        rows_per_s=large["images_per_s"],
        peak_bytes=large_peak,
        tenth_rows=rows // 10,
        tenth_rows_per_s=small["images_per_s"],
        tenth_peak_bytes=small_peak,
        ratio_peak=round(large_peak / small_peak, 3),
    )


def _embed(folder: Path, encoder: str, rows: int) -> tuple[dict[str, Any], int]:
    """Embed a table of so many rows; give the job's manifest and its peak memory in bytes."""
    say(f"{rows:,} rows")
    table = folder / f"{rows}.csv"
    with table.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image"])
        writer.writerows([f"sku-{row}", f"{row % _IMAGES}.jpg"] for row in range(rows))
    out = folder / f"out-{rows}"
    command = ["embed", str(table), "-o", str(out), "--encoder", encoder]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", _COMMAND, *command],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"RAC_CACHE_HOME": str(folder / "cache")},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise JobFailed(f"rac {' '.join(command)} ended with {process.returncode}")
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return manifest, usage.ru_maxrss * unit
