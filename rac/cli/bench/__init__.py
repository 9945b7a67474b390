"""``rac bench``: how fast this machine does the work, beside the usual ways of doing it."""

from __future__ import annotations

import typer

from rac.cli.bench import embed

app = typer.Typer(
    help="Measure speed against the usual ways, both sides in one run; prints JSON.",
    no_args_is_help=True,
)
app.command()(embed.embed)
