"""``rac bench predict``: rows that a classifier predicts in a second."""

from __future__ import annotations

from typing import Annotated

import typer

from rac.cli.common import JsonOption, print_json


def predict(
    rows: Annotated[int, typer.Option(min=1, help="Rows to predict in one round.")] = 32_768,
    dim: Annotated[int, typer.Option(min=2, help="Dimension of the features.")] = 512,
    classes: Annotated[int, typer.Option(min=2, help="Classes of the model.")] = 100,
    memory: Annotated[int, typer.Option(min=2, help="Rows of the memory.")] = 10_000,
    json: JsonOption = False,
) -> None:
    """Time predictions from features, beside the same answers by the plain exact search.

    Features are made, with classes of unequal sizes; nothing is downloaded or trained. Both sides
    take turns in one process, and their answers are compared.

    Example:

          rac bench predict --dim 512 --classes 100 --memory 10000 --json
    """
    from rac.bench.predict import bench_predict
    from rac.errors import InputError

    if memory < classes:
        raise InputError(f"--memory {memory} cannot hold a row of each of the {classes} classes")
    found = bench_predict(rows, dim=dim, classes=classes, memory=memory)
    if json:
        print_json(found.model_dump())
        return
    typer.echo(
        f"{found.rows_per_s:,.0f} rows a second on {found.cores} cores ({found.dim} dimensions, "
        f"{found.classes} classes, a memory of {found.memory:,} rows); "
        f"by the plain search {found.reference_rows_per_s:,.0f}, a ratio of {found.ratio:.2f}"
    )
    typer.echo(
        f"processor time of a row: {found.cpu_us:.0f} us, by the plain search "
        f"{found.reference_cpu_us:.0f} us"
    )
    typer.echo(
        f"same class for {found.agreement:.2%} of the rows, same neighbours for "
        f"{found.same_neighbours:.2%}, probabilities within {found.largest_difference:.1e}"
    )
