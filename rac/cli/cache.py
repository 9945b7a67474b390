"""``rac cache``: the embeddings that are kept, and what to do about them."""

from __future__ import annotations

from typing import Annotated

import typer

from rac.cli.common import JsonOption, print_json

app = typer.Typer(
    help="Embeddings kept between runs: what there is, and removing it.", no_args_is_help=True
)


@app.command()
def info(json: JsonOption = False) -> None:
    """List the caches, one for each encoder; RAC_CACHE_HOME says where they lie.

    Example:

          rac cache info
    """
    from dataclasses import asdict

    from rac.embedding.upkeep import list_caches

    caches = list_caches()
    if json:
        print_json([asdict(cache) for cache in caches])
        return
    for cache in caches:
        typer.echo(
            f"{cache.encoder}  {cache.entries:,} images  {cache.size_bytes / 2**20:,.0f} MiB  "
            f"unused for {cache.unused_days:.1f} days  {cache.path}"
        )
    if not caches:
        typer.echo("no embeddings are kept")


@app.command()
def prune(
    unused_days: Annotated[
        float, typer.Option(min=0.0, help="Remove caches not used for so many days; 0: all.")
    ] = 30.0,
    json: JsonOption = False,
) -> None:
    """Remove the caches of encoders that are no longer used.

    Example:

          rac cache prune --unused-days 90
    """
    from dataclasses import asdict

    from rac.embedding.upkeep import prune_caches

    removed = prune_caches(unused_days)
    if json:
        print_json([asdict(cache) for cache in removed])
        return
    freed = sum(cache.size_bytes for cache in removed) / 2**20
    typer.echo(f"{len(removed)} caches removed, {freed:,.0f} MiB freed")
