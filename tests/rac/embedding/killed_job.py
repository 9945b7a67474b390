"""A job to be killed: `python killed_job.py TABLE OUT` embeds slowly with the toy encoder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rac.embedding import job, parts
from rac.encoders.base import FloatArray
from rac.images import Pixels
from rac.tables import open_table
from tests.toy import ToyEncoder


class SlowEncoder(ToyEncoder):
    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        time.sleep(0.01)
        return super()._forward_images(pixels)


if __name__ == "__main__":
    parts.PART_ROWS = 16
    table, out = sys.argv[1:]
    job.write_embeddings(
        open_table(table), SlowEncoder(), Path(out), batch_size=4, trunk=True, progress=False
    )
