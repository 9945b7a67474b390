"""``rac fill explain``: a page about one item's cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import ImageRootOption, JsonOption, PrivateHostsOption, image_limits, print_json


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `rac fill`.")],
    id: Annotated[str, typer.Argument(help="The item's id, as the table has it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page; explain.html in the run's folder by default."),
    ] = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Show what a run decided about an item, with pictures: alternatives, neighbours, prompts.

    Example:

        rac fill explain runs/products sku-4711
    """
    from rac.attributes.explain import explain_row
    from rac.attributes.run_folder import RunFolder
    from rac.attributes.run_table import table_of_run

    folder = RunFolder(run)
    page = out or run / "explain.html"
    limits = image_limits(image_root, allow_private_hosts)
    lines = explain_row(folder, table_of_run(folder), id, page, limits)
    if json:
        print_json(lines)
    else:
        typer.echo(page)
