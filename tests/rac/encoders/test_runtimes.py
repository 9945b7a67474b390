"""Runtimes give the results of torch in float32, and the choice between them is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rac.encoders import load_encoder
from rac.encoders.runtimes import choose
from rac.encoders.runtimes.base import Precision, Runtime, RuntimeChoice, least_cosine
from rac.encoders.runtimes.choose import available, choose_runtime, probe_images
from rac.errors import InputError
from rac.images import Pixels

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("count", [1, 8, 11])
def test_openvino_gives_what_torch_gives_in_any_batch(folder: Path, count: int) -> None:
    reference = load_encoder(str(folder), device="cpu", runtime="torch", precision="float32")
    encoder = load_encoder(str(folder), device="cpu", runtime="openvino", precision="float32")
    assert encoder.identity == reference.identity
    pixels = probe_images(count, encoder.image_size)
    assert encoder.runtime is None, "nothing has run"
    expected, found = reference.encode_images(pixels), encoder.encode_images(pixels)
    assert encoder.runtime == "openvino float32"
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-3)
    assert least_cosine(found.trunk, expected.trunk) > 0.99999
    single = np.concatenate([encoder.encode_images(one[None]).embedding for one in pixels])
    np.testing.assert_allclose(single, found.embedding, atol=1e-3)


def test_bfloat16_in_torch_stays_near_and_gives_float32(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["vit"]), device="cpu", runtime="torch", precision="bfloat16")
    reference = load_encoder(
        str(folders["vit"]), device="cpu", runtime="torch", precision="float32"
    )
    # Nobody has compared it with float32, so it may not be taken for it.
    assert encoder.identity != reference.identity
    pixels = probe_images(4, encoder.image_size)
    found = encoder.encode_images(pixels)
    assert found.embedding.dtype == found.trunk.dtype == np.float32
    assert least_cosine(found.embedding, reference.encode_images(pixels).embedding) > 0.99
    np.testing.assert_array_equal(encoder.encode_texts(["a"]), reference.encode_texts(["a"]))


def test_the_choice_is_measured_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(str(folders["timm"]), device="cpu")
    pixels = probe_images(2, encoder.image_size)
    encoder.encode_images(pixels)
    kept = list((tmp_path / "cache" / "runtimes").iterdir())
    assert len(kept) == 1
    monkeypatch.setattr(choose, "_measure", lambda *_: pytest.fail("measured again"))
    again = load_encoder(str(folders["timm"]), device="cpu")
    again.encode_images(pixels)
    assert again.runtime == encoder.runtime
    kept[0].write_text("{broken")
    with pytest.raises(pytest.fail.Exception):
        load_encoder(str(folders["timm"]), device="cpu").encode_images(pixels)


class _Fake(Runtime):
    """Gives the mean grey of an image in two ways, with an error and after a while."""

    def __init__(self, choice: RuntimeChoice, error: float, pause: float) -> None:
        self.choice = choice
        self.error, self.pause = error, pause

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        clock.append(self.pause)
        means = pixels.mean(axis=(2, 3)).astype(np.float32)
        means[:, 0] += self.error
        return means, means


clock: list[float] = []


@pytest.mark.parametrize(
    ("error", "pause", "taken"),
    [
        (0.0, 0.5, "openvino bfloat16"),  # right, and twice as fast
        (50.0, 0.1, "torch float32"),  # fastest, and wrong
        (float("nan"), 0.1, "torch float32"),
        (0.0, 0.95, "torch float32"),  # hardly faster: not worth the rounding
    ],
)
def test_the_fastest_that_keeps_the_results_is_taken(
    monkeypatch: pytest.MonkeyPatch, error: float, pause: float, taken: str
) -> None:
    reference = RuntimeChoice("torch", Precision.float32)
    other = RuntimeChoice("openvino", Precision.bfloat16)
    monkeypatch.setattr(choose, "available", lambda device: [reference, other])
    monkeypatch.setattr(choose.time, "perf_counter", lambda: sum(clock))
    monkeypatch.setattr(
        choose,
        "_build",
        lambda choice, *_: _Fake(choice, *((0.0, 1.0) if choice == reference else (error, pause))),
    )
    chosen = choose_runtime(None, "identity", (8, 8), CPU)  # type: ignore[arg-type]
    assert str(chosen.choice) == taken


def test_a_runtime_that_cannot_run_the_network_is_left_out(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = choose._build

    def failing(choice: RuntimeChoice, *rest: object) -> Runtime:
        if choice.runtime == "openvino":
            raise RuntimeError("no such operator\nand a long trace")
        return build(choice, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(choose, "_build", failing)
    encoder = load_encoder(str(folders["vit"]), device="cpu")
    encoder.encode_images(probe_images(2, encoder.image_size))
    assert encoder.runtime.startswith("torch")
    assert "openvino float32 cannot run this encoder: no such operator" in capsys.readouterr().err
    with pytest.raises(InputError, match="none of openvino"):
        load_encoder(str(folders["vit"]), device="cpu", runtime="openvino").encode_images(
            probe_images(1, encoder.image_size)
        )


def test_what_a_machine_does_not_have_is_told() -> None:
    assert str(available(CPU)[0]) == "torch float32"
    with pytest.raises(InputError, match="no runtime here is --runtime auto --precision float16"):
        choose_runtime(
            None,  # type: ignore[arg-type]
            "identity",
            (8, 8),
            CPU,
            precision="float16",
        )


def test_signals_are_handled_after_an_encoder_was_freed_in_another_thread(folder: Path) -> None:
    script = """
import signal, sys, threading
from rac.encoders import load_encoder
from rac.encoders.runtimes.choose import probe_images

signal.signal(signal.SIGUSR1, lambda number, frame: print("handled"))
encoder = load_encoder(sys.argv[1], device="cpu", runtime="openvino", precision="float32")
held = [encoder]
encoder.encode_images(probe_images(1, encoder.image_size))
del encoder
freeing = threading.Thread(target=held.clear)
freeing.start()
freeing.join()
signal.raise_signal(signal.SIGUSR1)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
