"""The main job, stage by stage: catalogue, embeddings, classifier, fill, report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eval.fills import FillScore
from eval.predictions import Predictions, write_predictions
from eval.report import Report, build_report, write_report
from rac.attributes.fill import fill_table
from rac.attributes.schema import load_schema
from rac.classifier import to_predictions
from rac.cli.quickstart.catalogue import (
    SPLITS,
    Catalogue,
    Source,
    choose_source,
    write_catalogue,
)
from rac.cli.quickstart.summary import ClassifierFigures, FillFigures, QuickstartSummary
from rac.embedding import EmbeddingCache, Features, collect_features, embed_table
from rac.encoders import Encoder, load_encoder
from rac.fill_runs import open_fill_run
from rac.page_pictures import decode_for_page
from rac.tables import open_table
from retrieval_index.files import replace_file
from training.fit import fit_classifier

TARGET_PRECISION = 0.9


def run_quickstart(
    out: Path, *, encoder_name: str, blank: float, seed: int, source: Source | None = None
) -> QuickstartSummary:
    """Run the main job into a folder.

    Args:
        out: the run's folder; a second run replaces the first one's files.
        encoder_name: as :func:`rac.encoders.load_encoder` takes it.
        blank: share of the known cells that are blanked and filled again.
        seed: of blanks, training and fill.
        source: of the pictures; the one that this machine has by default.
    """
    chosen = source or choose_source()
    clock = _Clock()
    with clock.stage("catalogue"):
        catalogue = write_catalogue(chosen, out / "catalogue", blank=blank, seed=seed)
        schema_file = _write_schema(chosen, catalogue, out / "schema.yaml")
    with clock.stage("embed"):
        encoder = load_encoder(encoder_name)
        with EmbeddingCache(encoder) as cache:
            batches = embed_table(open_table(catalogue.truth), encoder, cache=cache)
            features = collect_features(batches, encoder)
    with clock.stage("train"):
        predictions = _classify(chosen, catalogue, features, encoder, out, seed)
    with clock.stage("fill"), EmbeddingCache(encoder) as cache:
        fill_table(
            open_table(catalogue.blanked),
            load_schema(schema_file),
            encoder,
            out / "fill",
            seed=seed,
            cache=cache,
        )
    with clock.stage("report"):
        report = build_report(
            [predictions],
            fill_run=open_fill_run(out / "fill", truth=str(catalogue.truth)),
            image_folder=catalogue.folder,
            decode_image=decode_for_page,
            seed=seed,
            title=f"Quickstart: {chosen.title}",
        )
        write_report(report, out)
    summary = QuickstartSummary(
        data=chosen.title,
        rows=len(features.items),
        bad_images=int((~features.ok).sum()),
        classes=len(predictions.classes),
        classifier=_figures(report),
        fill={name: _fill_figures(score) for name, score in report.fills.items()},
        seconds=clock.seconds,
        encoder=encoder.name,
        encoder_identity=encoder.identity,
    )
    with replace_file(out / "summary.json") as draft:
        draft.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return summary


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


def _write_schema(source: Source, catalogue: Catalogue, path: Path) -> Path:
    """Write the attributes as a schema file that ``rac fill`` takes as well."""
    attributes: dict[str, Any] = {
        name: {
            "values": sorted({cell for cell in catalogue.cells[name] if cell}),
            "templates": list(source.templates[name]),
            "target_precision": TARGET_PRECISION,
        }
        for name in source.attributes
    }
    text = yaml.safe_dump({"version": 1, "attributes": attributes}, sort_keys=False)
    with replace_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def _classify(
    source: Source,
    catalogue: Catalogue,
    features: Features,
    encoder: Encoder,
    out: Path,
    seed: int,
) -> Predictions:
    """Train on the train rows that have a class, predict the test rows that have one."""
    labels = np.array([label or "" for label in catalogue.labels])
    splits = np.array(catalogue.splits)
    train, val, test = (
        np.flatnonzero(features.ok & (labels != "") & (splits == split)) for split in SPLITS
    )
    items = features.items
    classifier = fit_classifier(
        features.trunk[train],
        labels[train].tolist(),
        [items[row].id for row in train],
        [items[row].text for row in train],
        encoder=encoder.identity,
        encoder_name=encoder.name,
        space="trunk",
        sources=[str(items[row].image) for row in train],
        hashes=[features.hashes[row] for row in train],
        images_from=str(catalogue.folder.resolve()),
        validation=(features.trunk[val], labels[val].tolist()),
        validation_hashes=[features.hashes[row] for row in val],
        out=out / "model",
        seed=seed,
        progress=True,
    )
    predictions = to_predictions(
        classifier.predict(features.trunk[test]),
        [items[row] for row in test],
        labels[test].tolist(),
        "test",
        model=classifier,
        hashes=[features.hashes[row] for row in test],
        image_folder=catalogue.folder,
        metadata={"data": source.title, "encoder": encoder.name, "label": source.label},
    )
    write_predictions(predictions, out / "predictions.parquet")
    return predictions


def _figures(report: Report) -> ClassifierFigures:
    headline = report.metrics.runs[0].headline
    figures = {name: getattr(headline, name) for name in ("top1", "macro", "many", "medium", "few")}
    return ClassifierFigures(
        **{name: figure.value if figure else None for name, figure in figures.items()}
    )


def _fill_figures(score: FillScore) -> FillFigures:
    return FillFigures(
        cells=score.cells,
        filled=score.filled,
        coverage=score.coverage,
        precision=score.precision,
    )
