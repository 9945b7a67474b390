"""The filler on a real catalogue whose cells are known, and on a million rows.

The catalogue is the Grocery Store data set's class tree made into columns: department, product,
variety, and for packages their packaging and brand. Half of the cells are blanked with a seed and
filled again; what was filled is compared with what was there.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rac.attributes.audit import audit_cells
from rac.attributes.features import FilledAttribute, code_cells, fill_features
from rac.attributes.fill import fill_table
from rac.attributes.prepare import FillOptions, Prepared
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.store import ItemsDigest, StoredEmbeddings, StoreManifest
from rac.blanking import blank_cells
from rac.embedding import EmbeddingCache, collect_features, embed_table
from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.tables import open_table

Column = list[str | None]

NOT_APPLICABLE_WORD = "not applicable"

_SCHEMA = """
attributes:
  department: {}
  product: {templates: ["a photo of {}, a grocery product.", "{} in a shop."]}
  variety: {templates: ["a photo of {}, a grocery product.", "{} in a shop."]}
  packaging:
    applies_when: {department: [packages]}
    not_applicable: not applicable
  brand:
    applies_when: {department: [packages]}
    not_applicable: not applicable
    templates: ["a package of {}.", "made by {}."]
"""
_BRANDS = ("Bravo", "God Morgon", "Tropicana", "Arla", "Garant", "Oatly", "Alpro", "Valio", "Yoggi")
_TUBS = ("Sour Cream",)
_ZERO_SHOT = (0, 6)
_NEIGHBOURS = (1, 2, 3, 6)


@dataclass(frozen=True)
class Catalogue:
    """N items with every cell known.

    Attributes:
        cells: by attribute, N cells.
        embedding: (N, D) float32.
        trunk: (N, T) float32.
        ok: (N,) whether the image could be read.
        embed_seconds: what it took to embed the images; None where the cache had some.
    """

    cells: dict[str, Column]
    embedding: FloatArray
    trunk: FloatArray
    ok: np.ndarray
    embed_seconds: float | None


def grocery_catalogue(encoder: Encoder, *, cached: bool = True) -> Catalogue:
    """Read and embed the Grocery Store data set as a catalogue.

    Args:
        encoder: of the images.
        cached: whether the embedding cache may answer; without it, the time is measured.
    """
    table = open_table("grocery-store")
    columns: dict[str, Column] = {name: [] for name in ("department", "coarse", "fine")}
    for batch in table.batches():
        for name, column in columns.items():
            column.extend(table.strings(batch, name))
    start = time.perf_counter()
    if cached:
        with EmbeddingCache(encoder) as cache:
            features = collect_features(embed_table(table, encoder, cache=cache), encoder)
    else:
        features = collect_features(embed_table(table, encoder), encoder)
    seconds = time.perf_counter() - start
    packaged = [name == "packages" for name in columns["department"]]
    cells: dict[str, Column] = {
        "department": columns["department"],
        "product": columns["coarse"],
        "variety": columns["fine"],
        "packaging": [
            ("tub" if product in _TUBS else "carton") if there else NOT_APPLICABLE_WORD
            for product, there in zip(columns["coarse"], packaged, strict=True)
        ],
        "brand": [
            next((brand for brand in _BRANDS if str(name).startswith(brand)), None)
            if there
            else NOT_APPLICABLE_WORD
            for name, there in zip(columns["fine"], packaged, strict=True)
        ],
    }
    return Catalogue(
        cells, features.embedding, features.trunk, features.ok, None if cached else seconds
    )


@dataclass(frozen=True)
class Kept:
    """How one attribute's blanked cells came out under one seed.

    Attributes:
        precision: right / filled; None where nothing was filled.
        coverage: filled / blanked, of the cells that hold a value in truth.
        reach: the largest such coverage at which the precision would still have been the target,
            had somebody known where to stop: what the ranking by probability is worth.
        absent: of "not applicable": answered rightly, answered, true.
    """

    precision: float | None
    coverage: float
    reach: float
    absent: tuple[int, int, int]


def promise_kept(
    catalogue: Catalogue,
    encoder: Encoder | None,
    *,
    seed: int,
    target: float,
    share: float = 0.5,
    kinds: Sequence[int] | None = None,
) -> dict[str, Kept]:
    """Blank cells, fill them, and compare with the truth.

    Args:
        catalogue: with every cell known.
        encoder: reads the prompts.
        seed: of the blanks, the folds and the samples.
        target: precision asked for.
        share: of the cells to blank.
        kinds: the kinds of evidence to go by; all if None.
    """
    blanked, hidden = blank_cells(catalogue.cells, share, seed)
    filled = fill_features(
        bench_schema(target),
        blanked,
        catalogue.embedding,
        catalogue.trunk,
        encoder=encoder,
        ok=catalogue.ok,
        seed=seed,
        kinds=kinds,
    )
    found = {}
    for name, one in filled.items():
        truth = [catalogue.cells[name][row] for row in hidden[name]]
        said = [one.values[row] for row in hidden[name]]
        absent = [one.absent[row] for row in hidden[name]]
        written = [(value, real) for value, real in zip(said, truth, strict=True) if value]
        right = sum(value == real for value, real in written)
        holding = sum(real != NOT_APPLICABLE_WORD for real in truth)
        covered = sum(real != NOT_APPLICABLE_WORD for _, real in written)
        found[name] = Kept(
            precision=right / len(written) if written else None,
            coverage=covered / max(1, holding),
            reach=_reach(one, hidden[name], truth, target),
            absent=(
                sum(
                    not_there and real == NOT_APPLICABLE_WORD
                    for not_there, real in zip(absent, truth, strict=True)
                ),
                sum(absent),
                len(truth) - holding,
            ),
        )
    return found


def _reach(
    filled: FilledAttribute, hidden: Sequence[int], truth: Sequence[str | None], target: float
) -> float:
    guesses = [
        (filled.probabilities[row], filled.best[row] == real, real != NOT_APPLICABLE_WORD)
        for row, real in zip(hidden, truth, strict=True)
        if filled.best[row] not in (None, NOT_APPLICABLE_WORD)
    ]
    guesses.sort(key=lambda guess: -guess[0])
    right, holding = (np.cumsum([guess[place] for guess in guesses]) for place in (1, 2))
    enough = np.flatnonzero(right >= target * np.arange(1, len(guesses) + 1))
    total = sum(real != NOT_APPLICABLE_WORD for real in truth)
    return float(holding[enough[-1]] / max(1, total)) if len(enough) else 0.0


def single_kinds(
    catalogue: Catalogue, encoder: Encoder, *, seeds: Sequence[int], target: float
) -> dict[str, list[dict[str, Kept]]]:
    """Do the same by prompts alone and by neighbours alone, under the same promise."""
    return {
        name: [
            promise_kept(catalogue, encoder, seed=seed, target=target, kinds=kinds)
            for seed in seeds
        ]
        for name, kinds in (("zero_shot", _ZERO_SHOT), ("neighbours", _NEIGHBOURS))
    }


def bench_schema(target: float) -> Schema:
    """Give the catalogue's schema with a target precision for every attribute."""
    return parse_schema(_SCHEMA).with_target(target)


def absent_f1(kept: Mapping[str, Kept]) -> float | None:
    """Give the F1 of the answer "not applicable" over all attributes; None where there is none."""
    right, said, true = (sum(one.absent[place] for one in kept.values()) for place in range(3))
    return 2 * right / (said + true) if said + true else None


def audit_recall(
    catalogue: Catalogue, encoder: Encoder, *, seed: int, share: float = 0.03
) -> float:
    """Swap a share of the values at random; give the share of them among the first 5 % doubtful."""
    schema = bench_schema(0.95)
    draw = np.random.default_rng(seed)
    swapped: set[tuple[str, int]] = set()
    cells: dict[str, Column] = {}
    for name, column in catalogue.cells.items():
        changed = list(column)
        values = sorted({cell for cell in column if cell and cell != NOT_APPLICABLE_WORD})
        holding = [row for row, cell in enumerate(column) if cell in set(values)]
        for row in draw.choice(holding, round(share * len(holding)), replace=False).tolist():
            changed[row] = str(draw.choice([value for value in values if value != column[row]]))
            swapped.add((name, row))
        cells[name] = changed
    rows = len(catalogue.trunk)
    store = StoredEmbeddings(
        embedding=catalogue.embedding,
        trunk=catalogue.trunk,
        ok=catalogue.ok,
        ids=pa.chunked_array([pa.array([str(row) for row in range(rows)])]),
        images=pa.chunked_array([pa.nulls(rows, pa.string())]),
        bad=[],
        manifest=_manifest(encoder, rows, ""),
    )
    table = open_table("grocery-store")
    options = FillOptions(seed=seed, progress=False)
    coded = code_cells(schema, cells, rows)
    job = Prepared(table, schema, encoder, options, store, coded, 0, [])
    doubts = audit_cells(job)
    first = doubts[: round(0.05 * len(doubts))]
    return sum((doubt.attribute, doubt.row) in swapped for doubt in first) / len(swapped)


def attribute_cost(
    catalogue: Catalogue, encoder: Encoder, *, many: int = 50, seed: int = 0
) -> dict[str, float]:
    """Fill one attribute, then many, of the same catalogue; seconds without the embedding."""
    blanked, _ = blank_cells(catalogue.cells, 0.5, seed)
    names = [name for name in blanked if name not in ("packaging", "brand")]
    seconds = {}
    for count in (1, many):
        cells = {f"a{number}": blanked[names[number % len(names)]] for number in range(count)}
        schema = parse_schema(json.dumps({"attributes": {name: {} for name in cells}}))
        start = time.perf_counter()
        fill_features(
            schema,
            cells,
            catalogue.embedding,
            catalogue.trunk,
            encoder=encoder,
            ok=catalogue.ok,
            seed=seed,
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
        open(store / "embedding.f32", "wb") as embedding,
        open(store / "trunk.f32", "wb") as trunk,
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
            trunk.write(features.astype("<f4").tobytes())
            embedding.write(reduced.astype("<f4").tobytes())
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
            pq.write_table(
                pa.table(
                    {
                        "id": ids,
                        "image": images,
                        "ok": np.ones(count, np.bool_),
                        "reason": pa.nulls(count, pa.string()),
                        "content_hash": pa.nulls(count, pa.string()),
                    }
                ),
                store / f"rows-{start:012d}.parquet",
            )
    table = open_table(folder / "items.parquet")
    for batch in table.batches(8192):
        digest.add(table.items(batch))
    manifest = _manifest(encoder, rows, digest.hexdigest())
    (store / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return parse_schema(json.dumps({"attributes": {name: {} for name in names}}))


def _manifest(encoder: Encoder, rows: int, items: str) -> StoreManifest:
    return StoreManifest(
        encoder=encoder.name,
        encoder_identity=encoder.identity,
        embedding_dim=encoder.embedding_dim,
        trunk_dim=encoder.trunk_dim,
        rows=rows,
        complete=True,
        items=items,
    )
