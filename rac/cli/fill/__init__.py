"""``rac fill``: missing attribute values, filled where they can be vouched for."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from rac.cli.fill.audit import audit
from rac.cli.fill.explain import explain
from rac.cli.fill.run import fill
from rac.cli.fill.undo import undo

__all__ = ["app", "audit", "explain", "fill", "undo"]


class _RunUnlessNamed(TyperGroup):
    """Takes ``rac fill TABLE ...`` for ``rac fill run TABLE ...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunUnlessNamed,
    help=(
        "Fill missing attribute values from the images, explain the fills, take them back.\n\n"
        "`rac fill TABLE --schema S -o RUN` is short for `rac fill run TABLE ...`; its options: "
        "`rac fill run --help`.\n\n"
        "Example:\n\n    rac fill products.csv --schema schema.yaml -o runs/products"
    ),
    no_args_is_help=True,
)
app.command("run")(fill)
app.command("explain")(explain)
app.command("undo")(undo)
app.command("audit")(audit)
