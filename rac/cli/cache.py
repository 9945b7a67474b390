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

    A cache that is damaged, was set aside or is of an earlier version is listed with that word.

    Example:

          rac cache info
    """
    from dataclasses import asdict

    from rac.embedding.upkeep import CacheState, list_caches

    caches = list_caches()
    if json:
        print_json([asdict(cache) for cache in caches])
        return
    for cache in caches:
        holds = "" if cache.entries is None else f"{cache.entries:,} images  "
        fault = f": {cache.fault}" if cache.fault else ""
        state = "" if cache.state is CacheState.sound else f"  {cache.state.upper()}{fault}"
        typer.echo(
            f"{cache.encoder}  {holds}{cache.size_bytes / 2**20:,.0f} MiB  "
            f"unused for {cache.unused_days:.1f} days  {cache.path}{state}"
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
    """Remove the caches of encoders that are no longer used, and damaged ones of any age.

    Exits with 1 when one of them could not be removed. With --json: what was removed and, on the
    error stream, what was left.

    Example:

          rac cache prune --unused-days 90
    """
    from dataclasses import asdict

    from rac.embedding.upkeep import prune_caches

    pruned = prune_caches(unused_days)
    if json:
        print_json([asdict(cache) for cache in pruned.removed])
    else:
        freed = sum(cache.size_bytes for cache in pruned.removed) / 2**20
        typer.echo(f"{len(pruned.removed)} caches removed, {freed:,.0f} MiB freed")
    for cache, why in pruned.left:
        typer.echo(f"{cache.path} is left: {why}", err=True)
    if pruned.left:
        raise typer.Exit(1)
