"""``rac encoders``: which encoder to pick."""

from __future__ import annotations

import typer

from rac.cli.common import JsonOption, print_json


def encoders(json: JsonOption = False) -> None:
    """List encoders worth picking, with licence and size.

    Any other model of open_clip works too, by MODEL/PRETRAINED, hf-hub:ORG/NAME or a local folder.

    Example:

          rac encoders
    """
    from dataclasses import asdict

    from rac.encoders.recommended import RECOMMENDED

    if json:
        print_json([asdict(entry) for entry in RECOMMENDED])
        return
    for entry in RECOMMENDED:
        download = f"{entry.megabytes:,} MB" if entry.megabytes else "embedded"
        facts = f"{entry.million_parameters:,} M parameters, {download}, {entry.licence}"
        typer.echo(f"{entry.name}\n    {entry.purpose}\n    {facts}")
    typer.echo("Any open_clip model works; these are good starts.")
