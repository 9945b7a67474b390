"""``rac report``: figures, a table of classes and a page from prediction files and fill runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import IdOption, JsonOption, OutOption, print_json, refuse_input_as_output

if TYPE_CHECKING:
    from eval.predictions import PredictionFile


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Prediction files of `rac predict`, or any .csv or .parquet with the columns "
            "id, label and prediction; the first is compared with each other one. Or the folder "
            "of a `rac fill` run.",
            metavar="RUN...",
        ),
    ],
    out: OutOption,
    many: Annotated[
        int, typer.Option(min=0, help="Classes with more training rows than this are 'many'.")
    ] = 100,
    few: Annotated[
        int, typer.Option(min=0, help="Classes with fewer training rows than this are 'few'.")
    ] = 20,
    train_counts: Annotated[
        Path | None,
        typer.Option(
            help="Training rows by class: a .csv or .parquet with the columns label and count, or "
            "a table of training rows with the column label (and content_hash, SHA-256 of the "
            "images, to look for test images among them); .json {class: count}.",
            metavar="FILE",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Text file of the classes, one a line, in the order of the scores.",
            metavar="FILE",
        ),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            help="Table with the true values of a fill run's cells; rows are matched by id.",
            metavar="TABLE",
        ),
    ] = None,
    id: IdOption = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder where the image paths start.", metavar="DIR"),
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, max=50, help="Examples of each kind on the page.")
    ] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap intervals.")] = 0,
    fail_if_worse: Annotated[
        list[str] | None,
        typer.Option(
            help="End with exit code 1 if a later run is worse than the first: top1, top5, macro, "
            "many, medium, few, harmonic or class, by more than TOLERANCE (0.01 is a point) or, "
            "without one, by more than its noise; repeatable.",
            metavar="NAME[:TOLERANCE]",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Report test rows that were trained on or selected by, and mark them."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Report runs class by class: metrics.json, per_class.csv and report.html in OUT.

    Example:

        rac report runs/test.parquet -o runs/report

        rac report runs/old.parquet runs/new.parquet --fail-if-worse few:0.01 -o runs/compare

        rac report runs/fill --truth catalogue.csv -o runs/fill-report
    """
    from eval.gates import failed_gates, parse_gate
    from eval.ledgers import is_fill_run
    from eval.report import build_report, write_report
    from eval.terminal import summarise
    from rac.errors import InputError, JobFailed
    from rac.fill_runs import open_fill_run
    from rac.page_pictures import decode_for_page
    from rac.stored_images import stored_images

    refuse_input_as_output(
        [*runs, *(one for one in (truth, train_counts, classes) if one is not None)],
        *(out / name for name in ("report.html", "metrics.json", "per_class.csv")),
    )
    gates = [parse_gate(text) for text in fail_if_worse or []]
    fills = [path for path in runs if is_fill_run(path)]
    predictions = [path for path in runs if path not in fills]
    if len(fills) > 1:
        raise InputError(f"{fills[1]}: a report takes one fill run; {fills[0]} is one already")
    if truth is not None and not fills:
        raise InputError("--truth is for fill runs, and none is given")
    if gates and len(predictions) < 2:
        raise InputError("--fail-if-worse compares runs: give two or more, the old one first")
    built = build_report(
        _opened(predictions, train_counts, classes),
        many=many,
        few=few,
        fill_run=open_fill_run(fills[0], truth=truth, id=id) if fills else None,
        examples=examples,
        image_folder=images,
        stored_images=partial(stored_images, id=id),
        decode_image=decode_for_page,
        seed=seed,
        force=force,
    )
    files = write_report(built, out)
    if json:
        print_json(built.metrics.model_dump(mode="json"))
    else:
        typer.echo(summarise(built.metrics))
        typer.echo(f"\n{files.page}")
    worse = failed_gates(gates, built.metrics.comparisons)
    if worse:
        raise JobFailed("; ".join(worse))


def _opened(
    paths: Sequence[Path], train_counts: Path | None, classes: Path | None
) -> list[PredictionFile]:
    """Open prediction files; where two say the same name, all go by their paths."""
    from eval.predictions import open_predictions
    from eval.train_counts import read_classes, read_train_counts, read_train_images

    counts = read_train_counts(train_counts) if train_counts else None
    trained = read_train_images(train_counts) if train_counts else None
    order = read_classes(classes) if classes else None

    files = [
        open_predictions(path, classes=order, train_counts=counts, training=trained)
        for path in paths
    ]
    if len({file.header.name for file in files}) == len(files):
        return files
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    return [
        replace(file, header=replace(file.header, name=name))
        for file, name in zip(files, names, strict=True)
    ]
