"""``rac bench``: how well and how fast the work is done, beside the usual ways of doing it."""

from __future__ import annotations

import typer

from rac.cli.bench import classify, embed, fill, memory, predict, warm_cache

app = typer.Typer(
    help="Measure against the usual ways of doing it, both sides in one run.",
    no_args_is_help=True,
)
app.command()(classify.classify)
app.command()(embed.embed)
app.command()(fill.fill)
app.command("warm-cache")(warm_cache.warm_cache)
app.command()(memory.memory)
app.command()(predict.predict)
