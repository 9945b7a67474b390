"""``rac encoders``: which encoder to pick."""

from __future__ import annotations

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
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Encoders (any open_clip model works; these are good starts)")
    for heading in ("--encoder", "for", "parameters", "download", "licence"):
        table.add_column(heading, overflow="fold")
    for entry in RECOMMENDED:
        table.add_row(
            entry.name,
            entry.purpose,
            f"{entry.million_parameters:,} M",
            f"{entry.megabytes:,} MB" if entry.megabytes else "embedded",
            entry.licence,
        )
    Console().print(table)
