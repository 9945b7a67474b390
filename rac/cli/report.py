"""``rac report``: figures, a table of classes and a page from prediction files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import JsonOption, OutOption, print_json


def report(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            help="Prediction files of `rac predict`, or any .csv or .parquet with the columns "
            "id, label and prediction; several are set side by side.",
            metavar="PREDICTIONS...",
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
    r"""Report predictions class by class: metrics.json, per_class.csv and report.html in OUT.

    \b
    Example:
      rac report runs/test.parquet -o runs/report
      rac report old.csv new.csv --train-counts train.csv --fail-if-worse few:0.01 -o runs/compare
    """
    from eval.gates import failed_gates, parse_gate
    from eval.predictions import open_predictions
    from eval.report import build_report, write_report
    from eval.terminal import summarise
    from eval.train_counts import read_classes, read_train_counts, read_train_images
    from rac.errors import JobFailed

    gates = [parse_gate(text) for text in fail_if_worse or []]
    if gates and len(predictions) < 2:
        raise typer.BadParameter("--fail-if-worse compares runs: give two or more, the old first")
    counts = read_train_counts(train_counts) if train_counts else None
    order = read_classes(classes) if classes else None
    trained = read_train_images(train_counts) if train_counts else None
    opened = [
        open_predictions(path, classes=order, train_counts=counts, training=trained)
        for path in predictions
    ]
    built = build_report(
        opened,
        many=many,
        few=few,
        examples=examples,
        image_folder=images,
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
