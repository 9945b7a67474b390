"""``rac bench warm-cache``: rows whose embeddings are known."""

from __future__ import annotations

from typing import Annotated

import typer

from rac.cli.common import EncoderOption, JsonOption, print_json


def warm_cache(
    rows: Annotated[int, typer.Option(min=1000, help="Rows of the larger table.")] = 1_000_000,
    encoder: EncoderOption = "mini",
    json: JsonOption = False,
) -> None:
    """Embed a table of repeated images that are all in the cache: rows a second, peak memory.

    A tenth of the rows is run before, to show that memory does not grow with their number. Writes
    about 3 KB a row to the temporary folder.

    Example:

          rac bench warm-cache --rows 1000000 --json
    """
    from rac.bench.warm_cache import bench_warm_cache

    result = bench_warm_cache(encoder, rows).model_dump()
    if json:
        print_json(result)
        return
    for name, value in result.items():
        typer.echo(f"{name:18} {value}")
