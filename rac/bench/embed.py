"""How fast images become embeddings, beside the ways in which it is usually done.

All sides embed the same images from the same files, in turns, in one process. Rates are medians
over the rounds; ratios are medians of the ratios of single rounds, since machines change their
pace from minute to minute.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pyarrow as pa
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch.utils.data import DataLoader, Dataset

from rac.bench.pipeline import PIPELINE_MODEL, clip_pipeline
from rac.embedding.stages import Stages
from rac.embedding.stream import Rows, embed_rows
from rac.encoders import Encoder, load_encoder
from rac.encoders.base import FloatArray
from rac.encoders.factory import create_model
from rac.encoders.layout import write_folder
from rac.encoders.load import open_clip_name
from rac.errors import InputError
from rac.images import (
    BadImage,
    ImageLimits,
    Pixels,
    decode_pixels,
    is_address,
    read_image_bytes,
)
from rac.progress import say
from rac.tables import Item, Table

UNTRAINED = "untrained:"
_BATCH = 64
_PLAIN_BATCH = 32
_PLAIN_WORKERS = 2
_PIPELINE_IMAGES = 64


class EmbedBench(BaseModel):
    """Rates in images a second; ``None`` where a peer is not installed.

    ``images_per_s`` is ours from files to embeddings, ``network_images_per_s`` our runtime on
    pixels that are in memory already. The cosines and ``nearest_unchanged`` (the share of images
    whose nearest other image is the same) compare our embeddings with the plain loop's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str
    runtime: str
    images: int
    rounds: int
    images_per_s: float | None
    plain_loop_images_per_s: float | None
    pipeline_images_per_s: float | None
    pipeline_model: str | None
    network_images_per_s: float | None
    ratio_to_plain_loop: float
    ratio_to_network: float
    cosine_to_reference: float
    cosine_to_reference_mean: float
    nearest_unchanged: float


def bench_embed(
    encoder_name: str,
    table: Table,
    *,
    images: int = 256,
    rounds: int = 3,
    runtime: str = "auto",
    precision: str = "auto",
) -> EmbedBench:
    """Compare our engine, a plain loop of open_clip, and a pipeline of transformers.

    Args:
        encoder_name: as :func:`rac.encoders.load_encoder` takes it, or ``untrained:MODEL`` for an
            open_clip architecture with random weights.
        table: items with images, as files or bytes; bad ones are passed over.
        images: how many are embedded, from the table's start on.
        rounds: how often each side does so.
        runtime: of our side.
        precision: of our side.

    Raises:
        InputError: the table has fewer than two good images.
    """
    with tempfile.TemporaryDirectory(prefix="rac-bench-") as folder:
        name = _with_weights(encoder_name, Path(folder))
        return _bench(encoder_name, name, table, images, rounds, runtime, precision)


def _bench(
    shown_name: str,
    name: str,
    table: Table,
    images: int,
    rounds: int,
    runtime: str,
    precision: str,
) -> EmbedBench:
    items = _good_items(table, images)
    encoder = load_encoder(name, runtime=runtime, precision=precision)
    pixels = np.stack([_pixels(encoder, item, table.base) for item in items])
    encoder.encode_images(pixels[:_BATCH])  # chooses the runtime and warms it up
    sources = [_source(item, table.base) for item in items]
    plain = _PlainLoop(name, sources)
    pipeline = clip_pipeline(sources[:_PIPELINE_IMAGES])
    spent: dict[str, list[float]] = {"ours": [], "plain": [], "network": [], "pipeline": []}
    found = reference = np.empty((0, encoder.embedding_dim), np.float32)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        with _timed(spent["plain"]):
            reference = plain()
        with _timed(spent["ours"]):
            found = _embed(encoder, items, table.base)
        with _timed(spent["network"]):
            for start in range(0, len(pixels), _BATCH):
                encoder.encode_images(pixels[start : start + _BATCH])
        if pipeline is not None:
            with _timed(spent["pipeline"]):
                pipeline()
    cosines = (reference * found).sum(axis=1)
    return EmbedBench(
        encoder=shown_name,
        runtime=encoder.runtime,
        images=len(items),
        rounds=rounds,
        images_per_s=_rate(len(items), spent["ours"]),
        plain_loop_images_per_s=_rate(len(items), spent["plain"]),
        pipeline_images_per_s=_rate(len(sources[:_PIPELINE_IMAGES]), spent["pipeline"]),
        pipeline_model=None if pipeline is None else PIPELINE_MODEL,
        network_images_per_s=_rate(len(items), spent["network"]),
        ratio_to_plain_loop=_ratio(spent["plain"], spent["ours"]),
        ratio_to_network=_ratio(spent["network"], spent["ours"]),
        cosine_to_reference=round(float(cosines.min()), 6),
        cosine_to_reference_mean=round(float(cosines.mean()), 6),
        nearest_unchanged=round(float((_nearest(found) == _nearest(reference)).mean()), 4),
    )


class _PlainLoop:
    """What most people write: open_clip's transform, a DataLoader, float32."""

    def __init__(self, name: str, sources: list[str | bytes]) -> None:
        model_name, pretrained = open_clip_name(name)
        model, transform, _ = create_model(model_name, pretrained)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().to(self._device)
        self._loader = DataLoader(
            _Images(sources, transform), batch_size=_PLAIN_BATCH, num_workers=_PLAIN_WORKERS
        )

    def __call__(self) -> FloatArray:
        with torch.no_grad():
            parts = [
                self._model.encode_image(batch.to(self._device), normalize=True).cpu().numpy()
                for batch in self._loader
            ]
        return np.concatenate(parts)


class _Images(Dataset[torch.Tensor]):
    def __init__(self, sources: list[str | bytes], transform: Any) -> None:
        self._sources = sources
        self._transform = transform

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, place: int) -> torch.Tensor:
        source = self._sources[place]
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        transformed: torch.Tensor = self._transform(opened.convert("RGB"))
        return transformed


def _with_weights(name: str, folder: Path) -> str:
    """Give the name of an encoder with weights; random ones are written to ``folder``."""
    if not name.startswith(UNTRAINED):
        return name
    architecture = name.removeprefix(UNTRAINED)
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise InputError(f"open_clip knows no architecture {architecture!r}")
    torch.manual_seed(0)
    model = open_clip.create_model(architecture)
    preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    described = {"model_cfg": config, "preprocess_cfg": preprocess}
    return str(write_folder(folder, model.state_dict(), described))


def _good_items(table: Table, count: int) -> list[Item]:
    table.require("image")
    limits = ImageLimits()
    good: list[Item] = []
    for cells in table.batches():
        for item in table.items(cells):
            if isinstance(item.image, str) and is_address(item.image):
                continue
            try:
                decode_pixels(read_image_bytes(item.image, table.base, limits), limits)
            except BadImage:
                continue
            good.append(item)
            if len(good) == count:
                return good
    if len(good) < 2:
        raise InputError(f"{table.source}: a comparison needs two good images at least")
    return good


def _source(item: Item, base: Path | None) -> str | bytes:
    if isinstance(item.image, bytes):
        return item.image
    return str((base or Path()) / str(item.image))


def _pixels(encoder: Encoder, item: Item, base: Path | None) -> Pixels:
    data = read_image_bytes(item.image, base)
    return encoder.preprocess(decode_pixels(data, target=encoder.decode_target))


def _embed(encoder: Encoder, items: list[Item], base: Path | None) -> FloatArray:
    no_cells = pa.record_batch({})
    batches = (
        Rows(no_cells, items[start : start + _BATCH]) for start in range(0, len(items), _BATCH)
    )
    embedded = embed_rows(batches, base, encoder, cache=None, limits=None, stages=Stages())
    return np.concatenate([batch.embedding for batch in embedded])


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    spent.append(time.perf_counter() - start)


def _rate(count: int, spent: list[float]) -> float | None:
    return round(count / statistics.median(spent), 2) if spent else None


def _ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def _nearest(vectors: FloatArray) -> npt.NDArray[np.intp]:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2.0)
    nearest: npt.NDArray[np.intp] = cosines.argmax(axis=1)
    return nearest
