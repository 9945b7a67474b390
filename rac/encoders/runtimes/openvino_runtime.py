"""OpenVINO on the CPU: several small batches at once, compiled models kept on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch

from rac.cores import usable_cores
from rac.encoders.runtimes.base import FloatArray, Precision, Runtime, RuntimeChoice
from rac.encoders.runtimes.vouched import is_vouched, vouch
from rac.encoders.towers import ImageTower
from rac.home import cache_home
from rac.images import Pixels
from rac.progress import say
from retrieval_index.lock import hold

NAME = "openvino"

# One request. Larger ones gain nothing on a CPU; smaller ones read large weights too often.
_BATCH = 8
_HINTS = {Precision.float32: "f32", Precision.bfloat16: "bf16", Precision.float16: "f16"}


class OpenVinoRuntime(Runtime):
    """Runs the tower in throughput mode: as many requests in flight as the processor likes."""

    def __init__(
        self, tower: ImageTower, identity: str, image_size: tuple[int, int], precision: Precision
    ) -> None:
        """Compile the tower, or load what was compiled before.

        Args:
            tower: in evaluation mode, float32, on the CPU.
            identity: of the encoder; names the files on disk.
            image_size: (height, width).
            precision: what the processor computes in.
        """
        self.choice = RuntimeChoice(NAME, precision)
        compiled = _ready(tower, identity, image_size, precision)
        self._sizes = [int(output.shape[1]) for output in compiled.outputs]
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def __call__(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        """Give trunk features (N, T) and unnormalised embeddings (N, D) of (N, 3, H, W) bytes."""
        count = len(pixels)
        trunk, embedding = (np.empty((count, size), np.float32) for size in self._sizes)
        for start in range(0, count, _BATCH):
            part = pixels[start : start + _BATCH]
            places = slice(start, start + len(part))
            if len(part) < _BATCH:
                blank = np.zeros((_BATCH - len(part), *part.shape[1:]), np.uint8)
                part = np.concatenate([part, blank])
            self._queue.start_async([part], (trunk[places], embedding[places]))
        self._queue.wait_all()
        return trunk, embedding


def capabilities() -> frozenset[str]:
    """Name the precisions that this processor computes in without emulation, e.g. ``BF16``."""
    return frozenset(shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


@cache
def shared_core() -> openvino.Core:
    """Give the process's one core, which is never freed.

    The CPU plugin gives the thread that loads it a stack of its own for signals, and unmaps it
    when its core goes. Freed in another thread, the first one keeps an address that is no longer
    there, and its next signal (Ctrl-C, the end of a child) is a segmentation fault.
    """
    return openvino.Core()


def _keep(request: Any, outputs: tuple[FloatArray, FloatArray]) -> None:
    for number, output in enumerate(outputs):
        output[:] = request.get_output_tensor(number).data[: len(output)]


def _ready(
    tower: ImageTower, identity: str, image_size: tuple[int, int], precision: Precision
) -> Any:
    """Give the compiled tower, by way of what is kept on disk where anything can be kept."""
    core = shared_core()
    folder = cache_home() / "openvino"
    try:
        converted = _converted(tower, folder, identity, image_size)
    except OSError as error:
        say(f"{folder}: {error.strerror or error}: the encoder is converted for this job alone")
        return core.compile_model(_convert(tower, image_size), "CPU", _settings(precision))
    return _compiled(core, core.read_model(converted), precision, converted.parent)


def _settings(precision: Precision) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": usable_cores(),
    }


def _compiled(core: openvino.Core, model: Any, precision: Precision, folder: Path) -> Any:
    """Compile a model, or take what was compiled before, where it is as it was written."""
    settings = _settings(precision)
    kept = folder / "compiled"
    if not os.access(folder, os.W_OK):
        known = {"CACHE_DIR": str(kept)} if is_vouched(kept) else {}
        return core.compile_model(model, "CPU", settings | known)
    with hold(folder / ".compiled.lock", wait_s=None, what="the compiled encoder", tell=say):
        if kept.exists() and not is_vouched(kept):
            # OpenVINO would take what lies there as it is.
            say(f"{kept} is damaged, or not all written: the encoder is compiled again")
            shutil.rmtree(kept, ignore_errors=True)
        compiled = core.compile_model(model, "CPU", settings | {"CACHE_DIR": str(kept)})
        if kept.is_dir() and not is_vouched(kept):
            vouch(kept)
    return compiled


def _converted(tower: ImageTower, folder: Path, identity: str, image_size: tuple[int, int]) -> Path:
    """Give the model file of a tower, converted once for an encoder and a version of OpenVINO."""
    version = openvino.__version__.split("-")[0]
    finished = folder / f"{identity}-{version}-{torch.__version__}"
    model_file = finished / "model.xml"
    if is_vouched(finished):
        return model_file
    if finished.exists():
        say(f"{finished} is damaged, or of an older version: the encoder is converted again")
        shutil.rmtree(finished, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".draft-"))
    try:
        openvino.save_model(
            _convert(tower, image_size), draft / "model.xml", compress_to_fp16=False
        )
        vouch(draft)
        draft.rename(finished)
    except OSError:
        # Another process has published the same model meanwhile.
        if not is_vouched(finished):
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return model_file


def _convert(tower: ImageTower, image_size: tuple[int, int]) -> Any:
    shape = (_BATCH, 3, *image_size)
    example = torch.zeros(shape, dtype=torch.uint8)
    # The fast path of torch's attention cannot be traced.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's hints for those who write networks
            return openvino.convert_model(tower, example_input=example, input=list(shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
