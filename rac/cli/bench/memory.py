"""``rac bench memory``: the memory's index beside autofaiss's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import JsonOption, print_json


def memory(
    rows: Annotated[int, typer.Option("--rows", min=1001, help="Vectors.")] = 100_000,
    dim: Annotated[int, typer.Option("--dim", min=8, help="Dimensions.")] = 512,
    max_memory: Annotated[
        str | None,
        typer.Option(
            "--max-memory",
            help="RAM that either index may take, for instance 4GB; twice the vectors by default.",
        ),
    ] = None,
    recall: Annotated[
        float, typer.Option("--recall", min=0.01, max=1.0, help="recall@10 that both must reach.")
    ] = 0.95,
    peer: Annotated[bool, typer.Option(help="Build and measure the peer too.")] = True,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where the files go meanwhile; they are removed."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build and search a memory of made vectors, beside autofaiss with the same RAM.

    Without autofaiss the fastest of a few raw FAISS recipes stands in for it. A run keeps twice
    the vectors on the disk: 4 GB for the first example, which takes ten to forty minutes with the
    peer; 21 GB for the second, which is for the night.

    Example:

        rac bench memory --rows 1000000 --dim 512 --json
        rac bench memory --rows 10000000 --dim 256 --no-peer --folder /scratch --json
    """
    from rac.bench.memory import bench_memory
    from rac.cli.index.sizes import byte_count

    measured = bench_memory(
        rows,
        dim,
        max_memory=None if max_memory is None else byte_count(max_memory),
        recall=recall,
        peer=peer,
        folder=folder,
    ).model_dump()
    if json:
        print_json(measured)
        return
    wide = max(map(len, measured))
    for name, value in measured.items():
        typer.echo(f"{name:<{wide}}  {value}")
