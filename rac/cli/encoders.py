"""``rac encoders``: which encoder to pick."""

from __future__ import annotations

from typing import Annotated

import typer

from rac.cli.common import JsonOption, print_json


def encoders(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Print the model card of this one instead: 'mini', or a folder with a README.md."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List encoders worth picking, with licence and size; or print one's model card.

    Any other model of open_clip works too, by MODEL/PRETRAINED, hf-hub:ORG/NAME or a local folder.

    Example:

          rac encoders mini
    """
    from dataclasses import asdict

    from rac.encoders.load import model_card
    from rac.encoders.recommended import RECOMMENDED

    if name is not None:
        card = model_card(name)
        if json:
            print_json({"name": name, "card": card})
        else:
            typer.echo(card)
        return
    if json:
        print_json([asdict(entry) for entry in RECOMMENDED])
        return
    for entry in RECOMMENDED:
        download = f"{entry.megabytes:,} MB" if entry.megabytes else "embedded"
        facts = f"{entry.million_parameters:,} M parameters, {download}, {entry.licence}"
        typer.echo(f"{entry.name}\n    {entry.purpose}\n    {facts}")
    typer.echo("Any open_clip model works; these are good starts. Card of mini: rac encoders mini")
