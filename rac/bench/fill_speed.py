"""What the filler costs: fifty attributes beside one, and a million rows from stored embeddings."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.features import fill_features
from rac.attributes.fill import fill_table
from rac.attributes.prepare import FillOptions
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.settings import FillSettings
from rac.attributes.store import ItemsDigest
from rac.attributes.store_files import ROWS, StoreFiles, write_manifest
from rac.bench.fill import Catalogue, store_manifest
from rac.encoders import Encoder
from rac.masking import mask_cells
from rac.tables import open_table


def attribute_cost(
    catalogue: Catalogue, encoder: Encoder, *, many: int = 50, seed: int = 0
) -> dict[str, float]:
    """Fill one attribute, then many, of the same catalogue; seconds without the embedding."""
    masked, _ = mask_cells(catalogue.cells, 0.5, seed)
    names = [name for name in masked if name not in ("packaging", "brand")]
    seconds = {}
    for count in (1, many):
        cells = {f"a{number}": masked[names[number % len(names)]] for number in range(count)}
        schema = parse_schema(json.dumps({"attributes": {name: {} for name in cells}}))
        start = time.perf_counter()
        fill_features(
            schema,
            cells,
            catalogue.embedding,
            catalogue.trunk,
            encoder=encoder,
            ok=catalogue.ok,
            settings=FillSettings(seed=seed),
        )
        seconds[str(count)] = time.perf_counter() - start
    return seconds


def million_rows(
    encoder: Encoder,
    *,
    rows: int = 1_000_000,
    attributes: int = 10,
    missing: float = 0.2,
    values: int = 12,
    seed: int = 0,
) -> dict[str, Any]:
    """Fill a made-up table from embeddings that are there already; every stage but embedding.

    Args:
        encoder: reads the prompts, and gives the sizes of the embeddings.
        rows: of the table.
        attributes: columns to fill.
        missing: share of the cells that are missing.
        values: of each attribute.
        seed: of the table.

    Returns:
        Rows, seconds by stage, seconds of all processors together, rows a second, and by how many
        MiB the process grew at most, files that are mapped into it left out.
    """
    with TemporaryDirectory(prefix="rac-bench-") as name:
        folder = Path(name)
        schema = _write_large(folder, encoder, rows, attributes, missing, values, seed)
        table = open_table(folder / "items.parquet")
        options = FillOptions(progress=False, seed=seed)
        start, processors = time.perf_counter(), time.process_time()
        with _Growth() as growth:
            summary = fill_table(table, schema, encoder, folder / "run", options)
        seconds, processors = time.perf_counter() - start, time.process_time() - processors
    if summary.images_opened:
        raise AssertionError("the made-up embeddings were not taken")
    return {
        "rows": rows,
        "attributes": attributes,
        "missing": summary.missing,
        "filled": summary.filled,
        "seconds": round(seconds, 2),
        "processor_seconds": round(processors, 2),
        "stages": summary.seconds,
        "rows_per_s": rows / seconds,
        "memory_growth_mib": growth.most,
    }


class _Growth:
    """Watches by how many MiB the process's own memory grows while a block runs; Linux only."""

    def __init__(self) -> None:
        self.most: int | None = None
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Growth:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        first = _own_memory()
        while first is not None and not self._done.wait(0.1):
            self.most = max(self.most or 0, (_own_memory() or 0) - first)


def _own_memory() -> int | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else None


def _write_large(
    folder: Path,
    encoder: Encoder,
    rows: int,
    attributes: int,
    missing: float,
    values: int,
    seed: int,
) -> Schema:
    """Write a table and a store of embeddings in which each attribute shows in the features."""
    draw = np.random.default_rng(seed)
    store = folder / "run" / "embeddings"
    store.mkdir(parents=True)
    step = 50_000
    names = [f"a{number}" for number in range(attributes)]
    centres = draw.normal(size=(attributes, values, encoder.trunk_dim)).astype(np.float32)
    map_down = draw.normal(size=(encoder.trunk_dim, encoder.embedding_dim)).astype(np.float32)
    schema = pa.schema([(name, pa.string()) for name in ("id", "image", *names)])
    digest = ItemsDigest(folder)
    with (
        StoreFiles(store, (encoder.embedding_dim, encoder.trunk_dim), rows=0) as files,
        pq.ParquetWriter(folder / "items.parquet", schema) as writer,
    ):
        for start in range(0, rows, step):
            count = min(step, rows - start)
            codes = draw.integers(0, values, (attributes, count))
            noise = draw.standard_normal((count, encoder.trunk_dim), np.float32)
            features = 2 * noise + sum(
                centres[number, codes[number]] for number in range(attributes)
            )
            reduced = features @ map_down
            reduced /= np.linalg.norm(reduced, axis=1, keepdims=True)
            ids = [f"item-{row}" for row in range(start, start + count)]
            words = np.array([f"value {code}" for code in range(values)], object)
            columns = []
            for number in range(attributes):
                cells = words[codes[number]]
                cells[draw.random(count) < missing] = None
                columns.append(pa.array(cells, pa.string()))
            images = [f"{ident}.jpg" for ident in ids]
            writer.write_table(
                pa.Table.from_arrays([pa.array(ids), pa.array(images), *columns], schema=schema)
            )
            kept = {
                "id": ids,
                "image": images,
                "ok": np.ones(count, np.bool_),
                "reason": pa.nulls(count, pa.string()),
                "content_hash": pa.nulls(count, pa.string()),
            }
            files.write(start, reduced, features, pa.table(kept).cast(ROWS))
    table = open_table(folder / "items.parquet")
    for batch in table.batches(8192):
        digest.add(table.items(batch))
    write_manifest(store, store_manifest(encoder, rows, digest.hexdigest()))
    return parse_schema(json.dumps({"attributes": {name: {} for name in names}}))
