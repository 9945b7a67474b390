from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from rac.errors import InputError
from tests.training.killed_fit import fit, overlapping_clouds
from training.data import Batch, TableData
from training.module import CosineHeads


class KilledError(BaseException):
    """Stands for what no code can catch and tidy up after."""


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clouds in the place of a table."""
    monkeypatch.setattr(TableData, "fit_rows", overlapping_clouds)


def kill_in_epoch(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    step = CosineHeads.training_step

    def training_step(self: CosineHeads, batch: Batch, batch_index: int) -> Tensor:
        if self.current_epoch == number and batch_index == 1:
            raise KilledError
        return step(self, batch, batch_index)

    monkeypatch.setattr(CosineHeads, "training_step", training_step)


def model(out: Path) -> tuple[bytes, str]:
    folder = out / "model"
    return (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_text()


@pytest.mark.parametrize(
    ("sampling", "batch_size", "epoch"), [("instance", 30, 3), ("progressive", 4096, 3)]
)
def test_a_killed_fit_resumes_to_the_same_bits(
    sampling: str, batch_size: int, epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optimizer, batches, deferred weights, early stopping and the best epoch all go on."""
    fit(tmp_path / "a", sampling=sampling, batch_size=batch_size)
    with monkeypatch.context() as patched:
        kill_in_epoch(epoch, patched)
        with pytest.raises(KilledError):
            fit(tmp_path / "b", sampling=sampling, batch_size=batch_size)
    assert not (tmp_path / "b/model").exists()
    fit(tmp_path / "b", "--ckpt_path=last", sampling=sampling, batch_size=batch_size)
    assert model(tmp_path / "b") == model(tmp_path / "a")


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.training.killed_fit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_fit_killed_by_the_system_resumes_to_the_same_bits(tmp_path: Path) -> None:
    killed = in_a_process(str(tmp_path / "b"), "3")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "b/model").exists()
    fit(tmp_path / "a")
    fit(tmp_path / "b", "--ckpt_path=last")
    assert model(tmp_path / "b") == model(tmp_path / "a")


def test_two_devices_end_at_the_bits_of_one(tmp_path: Path) -> None:
    done = in_a_process(str(tmp_path / "two"), "never", "--trainer.devices=2")
    assert done.returncode == 0, done.stderr
    fit(tmp_path / "one")
    assert model(tmp_path / "two") == model(tmp_path / "one")


def test_processes_that_cannot_give_the_heads_back_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"use --trainer\.strategy ddp"):
        fit(tmp_path, "--trainer.devices=2", "--trainer.strategy=ddp_spawn")


def test_resuming_is_not_starting_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's own place for checkpoints is a new folder each time: `last` was never found."""
    with monkeypatch.context() as patched:
        kill_in_epoch(3, patched)
        with pytest.raises(KilledError):
            fit(tmp_path)
    trained = []
    step = CosineHeads.training_step

    def training_step(self: CosineHeads, batch: Batch, batch_index: int) -> Tensor:
        trained.append(self.current_epoch)
        return step(self, batch, batch_index)

    monkeypatch.setattr(CosineHeads, "training_step", training_step)
    fit(tmp_path, "--ckpt_path=last")
    assert sorted(set(trained)) == [3, 4, 5]


def test_a_fit_killed_while_it_wrote_its_model_trains_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it had stopped early: the epochs behind the best are not taken up again."""
    stop_early = ("--trainer.max_epochs=30",)
    fit(tmp_path / "a", *stop_early)
    with monkeypatch.context() as patched:
        patched.setattr(
            "training.features_cli.finish", lambda *_: (_ for _ in ()).throw(KilledError)
        )
        with pytest.raises(KilledError):
            fit(tmp_path / "b", *stop_early)

    def training_step(self: CosineHeads, batch: Batch, batch_index: int) -> None:
        raise AssertionError("there was nothing left to train")

    monkeypatch.setattr(CosineHeads, "training_step", training_step)
    fit(tmp_path / "b", *stop_early, "--ckpt_path=last")
    assert model(tmp_path / "b") == model(tmp_path / "a")


def test_the_epochs_that_are_resumed_make_a_difference(tmp_path: Path) -> None:
    """Else the tests above would pass on a model that was best before the kill."""
    fit(tmp_path / "six")
    fit(tmp_path / "three", "--trainer.max_epochs=3")
    assert model(tmp_path / "six")[0] != model(tmp_path / "three")[0]


def test_weights_set_in_at_their_epoch(tmp_path: Path) -> None:
    """One epoch short of it nothing is weighed; from the first on, everything is."""
    fit(tmp_path / "plain", "--model.reweight=none", "--trainer.max_epochs=4")
    fit(tmp_path / "deferred", "--trainer.max_epochs=4")
    fit(tmp_path / "at once", "--model.reweight_from_epoch=0", "--trainer.max_epochs=4")
    heads = [model(tmp_path / name)[0] for name in ("plain", "deferred", "at once")]
    assert heads[0] == heads[1]
    assert heads[0] != heads[2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch_size": 31}, "batch_size was 30 and is 31 now"),
        ({"sampling": "square-root"}, "sampling was 'instance' and is 'square-root' now"),
    ],
)
def test_the_checkpoint_of_other_settings_is_refused(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    fit(tmp_path, "--trainer.max_epochs=1")
    with pytest.raises(InputError, match=told):
        fit(tmp_path, "--ckpt_path=last", **change)
    with pytest.raises(InputError, match=r"learning_rate was 0\.02 and is 0\.5 now"):
        fit(tmp_path, "--model.learning_rate=0.5", "--ckpt_path=last")


@pytest.mark.parametrize("counts", [(60, 40, 25, 12, 6), (60, 40, 25, 12), (30, 20, 10, 5, 5)])
def test_the_checkpoint_of_other_rows_is_refused(
    counts: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where classes are as many as they were, and the weights would fit."""
    fit(tmp_path, "--trainer.max_epochs=1")
    monkeypatch.setattr(TableData, "fit_rows", lambda data: overlapping_clouds(data, counts))
    with pytest.raises(InputError, match="its training rows were others"):
        fit(tmp_path, "--ckpt_path=last")
