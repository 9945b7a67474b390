"""``rac bench classify``: our classifier beside every baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import (
    EncoderOption,
    IdOption,
    ImageOption,
    JsonOption,
    LabelOption,
    TextOption,
    print_json,
)

if TYPE_CHECKING:
    from rac.bench.classify import ClassifyBench

_COLUMNS = ("top1", "macro", "head", "mid", "tail", "ece")


def classify(
    dataset: Annotated[
        str | None, typer.Argument(help="Data card with the splits train, test and maybe val.")
    ] = None,
    encoder: EncoderOption = "mini",
    seeds: Annotated[
        int, typer.Option(min=1, max=16, help="Trainings of each method that has randomness.")
    ] = 5,
    train: Annotated[
        str | None, typer.Option("--train", help="Table to train on, in place of a data card.")
    ] = None,
    test: Annotated[str | None, typer.Option("--test", help="Table to measure on.")] = None,
    val: Annotated[
        str | None,
        typer.Option(
            "--val", help="Table to choose settings on; without it, training rows are cross-fitted."
        ),
    ] = None,
    views_below: Annotated[
        int,
        typer.Option(
            min=0,
            help="Classes with at most this many training images give every method further views "
            "of them (mirrored, closer, turned); 0 for none.",
        ),
    ] = 100,
    ablation: Annotated[
        bool, typer.Option(help="Also train ours with parts of it taken away.")
    ] = False,
    label: LabelOption = None,
    image: ImageOption = None,
    id: IdOption = None,
    text: TextOption = None,
    json: JsonOption = False,
) -> None:
    """Train and test our classifier and every baseline on the same features, and compare them.

    Every method's setting is chosen on validation rows, or by cross-fitting where there are none,
    and so is the temperature of its probabilities. Classes are cut into thirds (head, mid, tail) by
    their training images; figures are means over the seeds, intervals 95 % over the test rows.

    Example:

          rac bench classify grocery-store-lt --seeds 5
          rac bench classify --train old.csv --test new.csv --label kind --json
    """
    from rac.bench.classify import bench_classify
    from rac.bench.classify_data import read_classify_data, split_tables
    from rac.cli.bench.challengers import ABLATIONS, ours
    from rac.encoders import load_encoder
    from rac.progress import say

    tables = split_tables(dataset, train, test, val)
    columns = {"image": image, "label": label, "text": text, "id": id}
    data = read_classify_data(tables, load_encoder(encoder), columns, views_below=views_below)
    taken_apart = ABLATIONS if ablation else {}
    result = bench_classify(data, ours, seeds=seeds, ablations=taken_apart, tell=say)
    if json:
        print_json(result.model_dump())
    else:
        _print_table(result)


def _print_table(result: ClassifyBench) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    rows = result.rows
    table = Table(
        title=f"{result.dataset}, {result.encoder}: {rows['train']} training, {rows['val']} "
        f"validation and {rows['test']} test rows of {result.classes} classes",
        caption="* best of its column; interval: macro, 95 % over test rows",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("method", no_wrap=True)
    for name in ("top1", "macro", "interval", "head", "mid", "tail", "ece", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    methods = [one.model_dump() for one in result.methods.values()]
    best = {}
    for name in _COLUMNS:
        known = [one[name] for one in methods if one[name] is not None]
        best[name] = (min if name == "ece" else max)(known, default=None)
    for method, one in zip(result.methods, methods, strict=True):
        cells = {
            name: "-" if one[name] is None else _marked(one[name], one[name] == best[name])
            for name in _COLUMNS
        }
        low, high = one["intervals"]["macro"]
        table.add_row(
            method,
            cells["top1"],
            cells["macro"],
            f"{_short(low)}-{_short(high)}",
            *(cells[name] for name in ("head", "mid", "tail", "ece")),
            f"{one['seconds']:.1f}",
        )
    Console().print(table)
    if rows["left_out"]:
        typer.echo(
            f"{rows['left_out']} rows were left out: without a label or a readable image, or of a "
            "class without a training row."
        )


def _marked(value: float, best: bool) -> str:
    return f"[bold]{_short(value)}*[/bold]" if best else f"{_short(value)} "


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
