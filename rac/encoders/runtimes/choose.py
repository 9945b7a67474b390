"""Picks the fastest way to run an encoder on this machine, among those that give its results.

A candidate is taken only if, on a set of probe images, each of its embeddings and trunk features
has a cosine of at least ``PARITY`` to those of torch in float32. What was measured is kept on
disk: a machine measures an encoder once, and a resumed job goes on with the same runtime.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from rac.encoders.runtimes.base import (
    FloatArray,
    Precision,
    Runtime,
    RuntimeChoice,
    least_cosine,
)
from rac.encoders.runtimes.torch_runtime import NAME as TORCH
from rac.encoders.runtimes.torch_runtime import TorchRuntime
from rac.encoders.towers import ImageTower
from rac.errors import InputError
from rac.home import cache_home
from rac.images import Pixels
from rac.progress import say
from retrieval_index.files import replace_file

OPENVINO = "openvino"
RUNTIMES = (TORCH, OPENVINO)
PARITY = 0.999

_PROBES = 16
# A lower precision has to be worth its rounding.
_WORTH = 1.1


class Measured(BaseModel):
    """One candidate on the probe images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: str
    precision: Precision
    images_per_s: float
    least_cosine: float


class Decision(BaseModel):
    """What was measured for one encoder on one machine, the chosen one first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    candidates: list[Measured] = Field(min_length=1)

    @property
    def best(self) -> RuntimeChoice:
        """The chosen one."""
        return RuntimeChoice(self.candidates[0].runtime, self.candidates[0].precision)


def choose_runtime(
    tower: ImageTower,
    identity: str,
    image_size: tuple[int, int],
    device: torch.device,
    *,
    runtime: str = "auto",
    precision: str = "auto",
) -> Runtime:
    """Build the runtime that was asked for, or the fastest one that keeps the results.

    Args:
        tower: in evaluation mode, float32.
        identity: of the encoder.
        image_size: (height, width).
        device: where torch runs.
        runtime: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        InputError: no runtime here is what was asked for.
    """
    candidates = [
        choice
        for choice in available(device)
        if runtime in ("auto", choice.runtime) and precision in ("auto", choice.precision)
    ]
    if not candidates and precision != "auto" and runtime != "auto":
        # Asked for by name: slow is allowed.
        candidates = [RuntimeChoice(runtime, Precision(precision))]
    if not candidates:
        there_are = ", ".join(map(str, available(device)))
        raise InputError(
            f"no runtime here is --runtime {runtime} --precision {precision}; "
            f"on {device} there are: {there_are}"
        )

    def build(choice: RuntimeChoice) -> Runtime:
        return _build(choice, tower, identity, image_size, device)

    if len(candidates) == 1:
        return build(candidates[0])
    path = _decision_file(identity, device, candidates)
    best = _read(path)
    if best not in candidates:
        decision = _measure(candidates, build, image_size, device)
        best = decision.best
        try:
            with replace_file(path) as draft:
                draft.write_text(decision.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            say(f"{path} cannot be written ({error.strerror}): the next job measures again")
    return build(best)


def available(device: torch.device) -> list[RuntimeChoice]:
    """List what this machine runs without emulating it; torch in float32 comes first."""
    choices = [RuntimeChoice(TORCH, Precision.float32)]
    if device.type == "cuda":
        choices.append(RuntimeChoice(TORCH, Precision.float16))
        if torch.cuda.is_bf16_supported(including_emulation=False):
            choices.append(RuntimeChoice(TORCH, Precision.bfloat16))
    if device.type != "cpu":
        return choices
    try:
        from rac.encoders.runtimes.openvino_runtime import capabilities
    except ImportError:
        return choices
    choices.append(RuntimeChoice(OPENVINO, Precision.float32))
    if "BF16" in capabilities():
        choices.append(RuntimeChoice(TORCH, Precision.bfloat16))
        choices.append(RuntimeChoice(OPENVINO, Precision.bfloat16))
    return choices


def probe_images(count: int, image_size: tuple[int, int]) -> Pixels:
    """Make images with the statistics of photos: power falls with frequency, colours correlate.

    They are stricter judges than photos: features far from any class round worse.

    Args:
        count: N.
        image_size: (H, W).

    Returns:
        (N, 3, H, W) uint8, the same for the same arguments.
    """
    random = np.random.default_rng(0)
    height, width = image_size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1.0 / max(height, width)
    images = np.empty((count, 3, height, width), np.uint8)
    for image in images:
        falloff = frequency ** -random.uniform(0.8, 1.6)
        noise = np.fft.fft2(random.standard_normal((3, height, width)))
        texture = np.fft.ifft2(noise * falloff).real
        texture -= texture.mean(axis=(1, 2), keepdims=True)
        texture /= texture.std(axis=(1, 2), keepdims=True)
        contrast = random.uniform(20, 70)
        mean = random.uniform(60, 200, (3, 1, 1))
        image[:] = np.clip(mean + contrast * (0.75 * texture[:1] + 0.5 * texture), 0, 255)
    return images


def _build(
    choice: RuntimeChoice,
    tower: ImageTower,
    identity: str,
    image_size: tuple[int, int],
    device: torch.device,
) -> Runtime:
    if choice.runtime == TORCH:
        return TorchRuntime(tower, device, choice.precision)
    from rac.encoders.runtimes.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(tower, identity, image_size, choice.precision)


def _measure(
    candidates: list[RuntimeChoice],
    build: Callable[[RuntimeChoice], Runtime],
    image_size: tuple[int, int],
    device: torch.device,
) -> Decision:
    say(f"measuring {len(candidates)} ways to run this encoder, once on this machine")
    probes = probe_images(_PROBES, image_size)
    reference = build(RuntimeChoice(TORCH, Precision.float32))(probes)
    measured = []
    for choice in candidates:
        try:
            measured.append(_measure_one(build(choice), probes, reference))
        except Exception as error:  # whatever a converter or a driver raises for a network
            if choice == RuntimeChoice(TORCH, Precision.float32):
                raise
            said = str(error) or type(error).__name__
            say(f"{choice} cannot run this encoder: {said.splitlines()[0]}")
    if not measured:
        raise InputError(f"none of {', '.join(map(str, candidates))} can run this encoder")
    decision = Decision(device=str(device), candidates=sorted(measured, key=_rank, reverse=True))
    best = decision.candidates[0]
    say(f"taken: {best.runtime} {best.precision}")
    return decision


def _measure_one(
    runtime: Runtime, probes: Pixels, reference: tuple[FloatArray, FloatArray]
) -> Measured:
    # The first call is the warm-up, and what parity is judged by.
    parity = min(map(least_cosine, runtime(probes), reference))
    start = time.perf_counter()
    runtime(probes)
    rate = len(probes) / (time.perf_counter() - start)
    return Measured(
        runtime=runtime.choice.runtime,
        precision=runtime.choice.precision,
        images_per_s=round(rate, 1),
        least_cosine=round(parity, 6),
    )


def _rank(one: Measured) -> tuple[bool, float]:
    worth = 1.0 if one.precision is Precision.float32 else 1.0 / _WORTH
    return one.least_cosine >= PARITY, one.images_per_s * worth


def _decision_file(identity: str, device: torch.device, candidates: list[RuntimeChoice]) -> Path:
    machine = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "threads": torch.get_num_threads(),
        "versions": [torch.__version__, _version(OPENVINO)],
        "candidates": [str(choice) for choice in candidates],
    }
    digest = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:12]
    return cache_home() / "runtimes" / f"{identity}-{digest}.json"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _read(path: Path) -> RuntimeChoice | None:
    """Give what was chosen before; None where that is not known, or no longer to be read."""
    try:
        return Decision.model_validate_json(path.read_text(encoding="utf-8")).best
    except (OSError, ValueError):
        return None
