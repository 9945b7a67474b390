"""A fit over clouds in a process of its own, where asked for killed with SIGKILL between two steps.

Run as ``python -m tests.training.killed_fit FOLDER (EPOCH | never) [OPTION ...]``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from torch import Tensor

from tests.training.conftest import clouds
from training.cli import run
from training.crossfit import LabelledFeatures
from training.data import Batch, TableData
from training.module import CosineHeads

EPOCHS = 6


def overlapping_clouds(
    self: TableData, counts: tuple[int, ...] = (60, 40, 25, 12, 5)
) -> tuple[LabelledFeatures, None]:
    """Stand in for ``TableData.fit_rows``: it takes epochs to find the best head for these."""
    self.encoder_identity = "toy0"
    vectors, labels, _, _ = clouds(list(counts), spread=1.8)
    return LabelledFeatures(vectors, labels, [f"r{row}" for row in range(len(labels))]), None


def fit(out: Path, *more: str, sampling: str = "instance", batch_size: int = 30) -> None:
    """Train on what ``TableData.fit_rows`` gives, with the settings that make resuming hard."""
    options = {
        "trainer.default_root_dir": out,
        "trainer.enable_progress_bar": "false",
        "trainer.logger": "true",
        "trainer.max_epochs": EPOCHS,
        "data.sampling": sampling,
        "data.batch_size": batch_size,
        "model.learning_rate": 0.02,
        "model.loss": "ldam",
        "model.reweight": "class-balanced",
        "model.reweight_from_epoch": 4,
    }
    run(["fit", *(f"--{name}={value}" for name, value in options.items()), *more])


def _killed_in(epoch: int) -> None:
    step = CosineHeads.training_step

    def training_step(self: CosineHeads, batch: Batch, batch_index: int) -> Tensor:
        if self.current_epoch == epoch and batch_index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, batch_index)

    CosineHeads.training_step = training_step  # type: ignore[method-assign]


if __name__ == "__main__":
    TableData.fit_rows = overlapping_clouds  # type: ignore[method-assign]
    folder, epoch, *options = sys.argv[1:]
    if epoch != "never":
        _killed_in(int(epoch))
    fit(Path(folder), *options)
