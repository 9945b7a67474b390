"""Time and memory of a report on a large prediction file, which is written first.

Run it as ``python -m tests.eval.large_report --rows 1000000 --classes 1000 --scores all``; it is
no test, for tests do not time things. With ``--scores none`` the file holds the ten best classes
and the branches' predictions in place of scores. Prints JSON; the file goes when it is done.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval.header import HEADER_KEY, RunHeader
from eval.prediction_rows import RowBlock
from eval.predictions import open_predictions
from eval.report import build_report, write_report

NEIGHBOURS = 8
BLOCK = 8192
SCORES = {"none": (), "one": ("scores",), "all": ("scores", "base_scores", "retrieval_scores")}


def write_large(path: Path, rows: int, classes: int, scores: tuple[str, ...]) -> None:
    """Write random predictions with neighbours and images, block by block."""
    rng = np.random.default_rng(0)
    names = pa.array([f"class {i:05d}" for i in range(classes)])
    counts = np.maximum(1, 5000 / np.arange(1, classes + 1) ** 0.9).astype(np.int64)
    header = RunHeader(
        name="large",
        classes=tuple(names.to_pylist()),
        train_counts=counts,
        image_folder=None,
        neighbour_folder=None,
        source=None,
        training=None,
        selection=None,
        metadata={},
    )
    writer = None
    for first in range(0, rows, BLOCK):
        size = min(BLOCK, rows - first)
        table = _block(rng, names, first, size, scores)
        if writer is None:
            RowBlock(table, header, header.name).check()
            schema = table.schema.with_metadata({HEADER_KEY: header.as_bytes()})
            writer = pq.ParquetWriter(path, schema)
        writer.write_table(table.cast(schema))
    writer.close()


def _block(rng, names, first, size, scores):
    classes = len(names)
    labels = rng.integers(0, classes, size)
    logits = rng.standard_normal((size, classes), dtype=np.float32)
    logits[np.arange(size), labels] += 3
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    near = rng.integers(0, classes, (size, NEIGHBOURS))
    near[rng.random(near.shape) < 0.5] = -1
    near = np.where(near < 0, labels[:, None], near)
    trained = [f"train {i:07d}" for i in rng.integers(0, 10**6, size * NEIGHBOURS)]
    columns = {
        "id": pa.array([f"item {first + i:08d}" for i in range(size)]),
        "label": names.take(pa.array(labels)),
        "prediction": names.take(pa.array(shares.argmax(axis=1))),
        "confidence": pa.array(shares.max(axis=1).astype(float)),
        "image": pa.array([f"images/{first + i:08d}.jpg" for i in range(size)]),
        "neighbour_ids": _lists(pa.array(trained), NEIGHBOURS),
        "neighbour_labels": _lists(names.take(pa.array(near.reshape(-1))), NEIGHBOURS),
        "neighbour_scores": _lists(pa.array(rng.random(near.size).astype(np.float32)), NEIGHBOURS),
        "neighbour_images": _lists(pa.array([f"images/{i}.jpg" for i in trained]), NEIGHBOURS),
    }
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), classes)
    for turn, name in enumerate(scores):
        matrix = np.ascontiguousarray(np.roll(shares, turn, axis=0))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=kind)
    if not scores:
        best = np.argsort(-shares, axis=1)[:, :10]
        columns["top_classes"] = _lists(names.take(pa.array(best.reshape(-1))), 10)
        for name in ("base_prediction", "retrieval_prediction"):
            columns[name] = names.take(pa.array(rng.integers(0, classes, size)))
    return pa.table(columns)


def _lists(values, length):
    starts = pa.array(np.arange(0, len(values) + 1, length), pa.int32())
    return pa.ListArray.from_arrays(starts, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--scores", choices=SCORES, default="none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.parquet"
        write_large(path, asked.rows, asked.classes, SCORES[asked.scores])
        start = time.perf_counter()
        files = write_report(build_report([open_predictions(path)]), Path(folder) / "out")
        found = {
            "rows": asked.rows,
            "classes": asked.classes,
            "file_mb": round(path.stat().st_size / 1e6),
            "seconds": round(time.perf_counter() - start, 1),
            "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "page_mb": round(files.page.stat().st_size / 1e6, 2),
        }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
