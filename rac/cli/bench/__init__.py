"""``rac bench``: how fast this machine does the work, beside the usual ways of doing it."""

from __future__ import annotations

import typer

from rac.cli.bench import embed, fill, memory, warm_cache

app = typer.Typer(
    help="Measure speed against the usual ways, both sides in one run; prints JSON.",
    no_args_is_help=True,
)
app.command()(embed.embed)
app.command()(fill.fill)
app.command("warm-cache")(warm_cache.warm_cache)
app.command()(memory.memory)
