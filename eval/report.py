"""A report: computed once, written as ``metrics.json``, ``per_class.csv`` and ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from eval.comparison import compare
from eval.doubtful import DoubtfulSet, pick_doubtful
from eval.errors import ReportFault
from eval.evaluation import CONFUSIONS_SHOWN, Evaluation, evaluate
from eval.examples import ExampleSet, pick_examples
from eval.fills import FillScore, evaluate_cells, sum_fills
from eval.ledgers import FillPromise, FillRun
from eval.outcomes import Outcomes, reduce_predictions
from eval.page_file import write_page
from eval.pictures import StoredImages
from eval.predictions import PredictionFile, Predictions
from eval.schema import (
    FillMetrics,
    MetricsDocument,
    MistakeCount,
    PromiseMetrics,
    Settings,
    ValueMetrics,
)
from eval.thumbnails import FolderReader, ImageDecoder, decode_small
from retrieval_index.files import replace_file

_BINS = 15  # of the calibration diagram


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that is written, computed.

    Attributes:
        title: of the page.
        metrics: the content of ``metrics.json``.
        evaluations: one for each run, in the order given.
        examples: for each run, its kinds of examples.
        fills: score of each attribute; empty where nothing was filled.
        fills_total: over all attributes; None where nothing was filled.
        doubtful: doubtful cells of each attribute of a fill run.
    """

    title: str
    metrics: MetricsDocument
    evaluations: tuple[Evaluation, ...]
    examples: tuple[tuple[ExampleSet, ...], ...]
    fills: Mapping[str, FillScore]
    fills_total: FillScore | None
    doubtful: Mapping[str, tuple[DoubtfulSet, ...]]


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written."""

    metrics: Path
    per_class: Path
    page: Path


def build_report(
    predictions: Sequence[Predictions | PredictionFile | Outcomes],
    *,
    many: int = 100,
    few: int = 20,
    fills: Mapping[str, FillScore] | None = None,
    fill_run: FillRun | None = None,
    examples: int = 6,
    image_folder: str | Path | None = None,
    stored_images: StoredImages | None = None,
    decode_image: ImageDecoder = decode_small,
    resamples: int = 1000,
    seed: int = 0,
    title: str | None = None,
    force: bool = False,
) -> Report:
    """Compute a report of one or several runs, of filled attributes, or of both.

    Args:
        predictions: the runs, in memory or as opened files, which are then read block by block.
        many: a class with more training rows than this is in "many".
        few: a class with fewer training rows than this is in "few".
        fills: scores of filled attributes, as :func:`eval.fills.evaluate_fills` gives them.
        fill_run: a fill run, in place of ``fills``, from :func:`eval.ledgers.read_fill_run`; it
            has doubtful cells to show and promises to hold against the figures.
        examples: at most so many examples of each kind; 0 for none.
        image_folder: where relative image paths start, in place of what the predictions say. No
            file outside of it is opened.
        stored_images: gives images that lie in the cells of a table, where rows have no reference.
        decode_image: makes a picture of an image's bytes for the page.
        resamples: bootstrap resamples, at least 1.
        seed: of the bootstrap.
        title: of the page.
        force: report test rows that were trained on or selected by, marked on the page.

    Raises:
        ReportFault: nothing to report, two runs of one name, predictions that cannot be read, or
            test rows that were trained on or selected by.
    """
    if fills and fill_run is not None:
        raise ReportFault("give scores of filled attributes or a fill run, not both")
    if not predictions and not fills and fill_run is None:
        raise ReportFault("there is nothing to report: no predictions and no filled attributes")
    if resamples < 1:
        raise ReportFault(f"resamples must be at least 1, not {resamples}")
    settings = Settings(
        many=many, few=few, resamples=resamples, confidence=0.95, seed=seed, bins=_BINS
    )
    evaluations: list[Evaluation] = []
    shown: list[tuple[ExampleSet, ...]] = []
    for source in predictions:
        outcomes = source if isinstance(source, Outcomes) else reduce_predictions(source)
        if any(outcomes.name == other.outcomes.name for other in evaluations):
            raise ReportFault(f"two runs are named {outcomes.name!r}; a report needs to tell them")
        evaluation = evaluate(outcomes, settings, force=force)
        evaluations.append(evaluation)
        here = Path(image_folder or outcomes.header.image_folder or ".")
        near = Path(image_folder or outcomes.header.neighbour_folder or here)
        picked = pick_examples(
            evaluation,
            FolderReader(here),
            examples,
            read_neighbour=FolderReader(near),
            stored=stored_images,
            decode=decode_image,
        )
        shown.append(tuple(picked))
    scores = (
        dict(fills or {}) if fill_run is None else evaluate_cells(fill_run.cells, fill_run.known)
    )
    total = sum_fills(list(scores.values())) if scores else None
    return Report(
        title=title or _title(evaluations),
        metrics=MetricsDocument(
            settings=settings,
            runs=[evaluation.metrics for evaluation in evaluations],
            comparisons=[
                compare(evaluations[0].outcomes, other.outcomes, settings)
                for other in evaluations[1:]
            ],
            fills=_fill_records(scores, fill_run) or None,
            fills_total=None if total is None else _fill_record(total, None),
        ),
        evaluations=tuple(evaluations),
        examples=tuple(shown),
        fills=scores,
        fills_total=total,
        doubtful=_doubtful(fill_run, image_folder, stored_images, decode_image, examples),
    )


def write_report(report: Report, out: str | Path) -> ReportFiles:
    """Write a report's three files into a folder, each whole or not at all.

    ``metrics.json`` follows :class:`eval.schema.MetricsDocument`; ``per_class.csv`` is described in
    :mod:`eval.class_table`; ``report.html`` is one page that needs no network.

    Args:
        report: from :func:`build_report`.
        out: the folder; created where it is missing.
    """
    # The page brings matplotlib and Jinja2 with it, which the figures alone do not need.
    from eval.class_table import write_per_class
    from eval.page import render_page

    folder = Path(out)
    page = render_page(report)
    files = ReportFiles(
        metrics=folder / "metrics.json",
        per_class=folder / "per_class.csv",
        page=folder / "report.html",
    )
    with replace_file(files.metrics) as draft:
        draft.write_text(report.metrics.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_per_class(report.evaluations, files.per_class)
    write_page(files.page, page)
    return files


def _title(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return "Filled attributes"
    if len(evaluations) > 1:
        return f"Report on {len(evaluations)} runs"
    return f"Report on {evaluations[0].outcomes.name}"


def _doubtful(
    run: FillRun | None,
    image_folder: str | Path | None,
    stored: StoredImages | None,
    decode: ImageDecoder,
    count: int,
) -> dict[str, tuple[DoubtfulSet, ...]]:
    if run is None:
        return {}
    reader = FolderReader(Path(image_folder or run.image_folder))
    return {
        name: tuple(pick_doubtful(run, name, reader, count, stored=stored, decode=decode))
        for name in run.cells.attributes
    }


def _fill_records(scores: Mapping[str, FillScore], run: FillRun | None) -> dict[str, FillMetrics]:
    promises = {} if run is None else run.promises
    return {name: _fill_record(score, promises.get(name)) for name, score in scores.items()}


def _fill_record(score: FillScore, promise: FillPromise | None) -> FillMetrics:
    return FillMetrics(
        known=score.known,
        empty=score.empty,
        written=score.written,
        cells=score.cells,
        filled=score.filled,
        abstained=score.abstained,
        correct=score.correct,
        coverage=score.coverage,
        precision=score.precision,
        low=score.low,
        high=score.high,
        area=None if score.curve is None else score.curve.area,
        reasons=score.reasons,
        promise=None if promise is None else PromiseMetrics.model_validate(asdict(promise)),
        values=[ValueMetrics.model_validate(asdict(value)) for value in score.values],
        mistakes=[
            MistakeCount.model_validate(asdict(mistake))
            for mistake in score.mistakes[:CONFUSIONS_SHOWN]
        ],
    )
