"""The filler on a real catalogue whose cells are known.

The catalogue is the Grocery Store data set's class tree made into columns: department, product,
variety, and for packages their packaging and brand. Half of the cells are masked with a seed and
filled again; what was filled is compared with what was there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rac.attributes.audit import audit_cells
from rac.attributes.evidence.registry import SOURCES
from rac.attributes.features import FilledAttribute, code_cells, fill_features
from rac.attributes.prepare import FillOptions, Prepared
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.settings import FillSettings
from rac.attributes.store import StoredEmbeddings
from rac.attributes.store_files import StoreManifest
from rac.embedding import EmbeddingCache, collect_features, embed_table
from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.masking import mask_cells
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
    """How one attribute's masked cells came out under one seed.

    Attributes:
        precision: right / filled; None where nothing was filled.
        coverage: filled / masked, of the cells that hold a value in truth.
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
    sources: tuple[str, ...] | None = None,
    whole_rows: bool = False,
) -> dict[str, Kept]:
    """Mask cells, fill them, and compare with the truth.

    Args:
        catalogue: with every cell known.
        encoder: reads the prompts.
        seed: of the masks, the folds and the samples.
        target: precision asked for.
        share: of the cells to mask.
        sources: names of the sources of evidence to go by; all if None.
        whole_rows: whether rows lose all their cells, as new items have none, or cells are masked
            each by itself.
    """
    mask = _mask_rows if whole_rows else mask_cells
    masked, hidden = mask(catalogue.cells, share, seed)
    filled = fill_features(
        bench_schema(target),
        masked,
        catalogue.embedding,
        catalogue.trunk,
        encoder=encoder,
        ok=catalogue.ok,
        settings=FillSettings(seed=seed, sources=sources),
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


def _mask_rows(
    cells: Mapping[str, Column], share: float, seed: int
) -> tuple[dict[str, Column], dict[str, list[int]]]:
    count = len(next(iter(cells.values())))
    drawn = np.random.default_rng(seed).choice(count, round(share * count), replace=False)
    rows = set(drawn.tolist())
    masked = {
        name: [None if row in rows else cell for row, cell in enumerate(column)]
        for name, column in cells.items()
    }
    hidden = {name: sorted(row for row in rows if column[row]) for name, column in cells.items()}
    return masked, hidden


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


def single_sources(
    catalogue: Catalogue, encoder: Encoder, *, seeds: Sequence[int], target: float
) -> dict[str, list[dict[str, Kept]]]:
    """Do the same by prompts alone and by neighbours alone, under the same promise.

    How many rows a value has, which needs neither image nor cells, is known to both.
    """
    prior = [one.name for one in SOURCES if not (one.needs_image or one.reads_cells)]
    alone = {
        "zero_shot": [one.name for one in SOURCES if one.unseen_values],
        "neighbours": [one.name for one in SOURCES if one.retrieval],
    }
    return {
        kind: [
            promise_kept(catalogue, encoder, seed=seed, target=target, sources=(*names, *prior))
            for seed in seeds
        ]
        for kind, names in alone.items()
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
        manifest=store_manifest(encoder, rows, ""),
    )
    table = open_table("grocery-store")
    options = FillOptions(seed=seed, progress=False)
    coded = code_cells(schema, cells, rows)
    job = Prepared(table, schema, encoder, options, store, coded, 0, [])
    doubts = audit_cells(job)
    first = doubts[: round(0.05 * len(doubts))]
    return sum((doubt.attribute, doubt.row) in swapped for doubt in first) / len(swapped)


def store_manifest(encoder: Encoder, rows: int, items: str) -> StoreManifest:
    """Give what a store of made-up embeddings says of itself."""
    return StoreManifest(
        encoder=encoder.name,
        encoder_identity=encoder.identity,
        embedding_dim=encoder.embedding_dim,
        trunk_dim=encoder.trunk_dim,
        rows=rows,
        complete=True,
        items=items,
    )
