"""Reports on predictions and fills, from Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from eval.ledgers import FillRun, is_fill_run
from eval.predictions import PredictionFile, Predictions, open_predictions
from eval.report import Report, build_report, write_report
from rac.api.faults import as_input_errors
from rac.api.predictions import PredictionResult
from rac.errors import InputError
from rac.fill_runs import open_fill_run
from rac.stored_images import images_in, stored_images
from rac.tables import Table

Run: TypeAlias = PredictionResult | str | Path
"""Predictions in memory, a prediction file, or the folder of a fill run."""


@as_input_errors()
def report(
    runs: Run | Mapping[str, Run],
    out: str | Path | None = None,
    *,
    truth: str | Path | None = None,
    many: int = 100,
    few: int = 20,
    examples: int = 6,
    seed: int = 0,
    force: bool = False,
) -> Report:
    """Judge predictions class by class, or a fill run, as ``rac report`` does.

    Args:
        runs: what :meth:`rac.Model.predict` gives, a prediction file, or the folder of a fill run;
            or several by name, of which the first is compared with each other one.
        out: folder to write ``metrics.json``, ``per_class.csv`` and ``report.html`` to; nothing is
            written if None.
        truth: table with the true values of a fill run's cells; rows are matched by id.
        many: classes with more training rows than this are "many".
        few: classes with fewer training rows than this are "few".
        examples: of each kind on the page, at most.
        seed: of the bootstrap intervals.
        force: report test rows too that were trained on or selected by, and mark them.

    Returns:
        All figures: ``.metrics`` holds what ``metrics.json`` says, ``.metrics.runs[0].headline``
        the accuracies with their intervals.

    Raises:
        InputError: there is nothing to report, rows have no class to be held against, an id occurs
            twice, or test rows were trained on.

    >>> import rac
    >>> import pandas
    >>> from PIL import Image
    >>> shop = pandas.DataFrame({"label": ["red", "blue", "red"]})
    >>> shop["image"] = [Image.new("RGB", (64, 64), colour) for colour in shop.label]
    >>> found = rac.zero_shot(shop, ["red", "blue"], progress=False)
    >>> rac.report(found).metrics.runs[0].headline.top1.value
    1.0
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    fills: list[FillRun] = []
    predictions: list[Predictions | PredictionFile] = []
    held: dict[str, list[Table]] = {}
    for name, run in named.items():
        if isinstance(run, PredictionResult):
            predictions.append(run.for_report(name or "rac"))
            held.setdefault(run.table.source, []).append(run.table)
        elif is_fill_run(Path(run)):
            fills.append(open_fill_run(run, truth=None if truth is None else str(truth)))
        else:
            opened = open_predictions(run)
            header = replace(opened.header, name=name) if name else opened.header
            predictions.append(replace(opened, header=header))
    if len(fills) > 1:
        raise InputError("a report takes one fill run")
    if truth is not None and not fills:
        raise InputError("truth is for fill runs, and none is given")

    def pictures(source: str, ids: Collection[str]) -> Mapping[str, bytes]:
        tables = held.get(source, [])
        # Two frames have one name and the same row numbers.
        if len(tables) > 1:
            return {}
        return images_in(tables[0], ids) if tables else stored_images(source, ids)

    built = build_report(
        predictions,
        many=many,
        few=few,
        fill_run=fills[0] if fills else None,
        examples=examples,
        stored_images=pictures,
        seed=seed,
        force=force,
    )
    if out is not None:
        write_report(built, out)
    return built
